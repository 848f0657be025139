//! Alerts: promtool evaluates each with series that make it fire and with some that do not (`crates/chart/alerts`), and each
//! has a runbook.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use chart::{read, render, root};
use serde_json::Value;
use testbed::TempDir;
use testbed::tools::promtool;

use crate::monitoring::scraped;

const ENABLED: &str = "monitoring: {prometheusRule: {enabled: true}}";

fn rules(values: &str) -> Value {
    render(values).unwrap().only("PrometheusRule").unwrap()["spec"].clone()
}

fn alerts(rules: &Value) -> Vec<&Value> {
    rules["groups"][0]["rules"].as_array().unwrap().iter().collect()
}

fn name(alert: &Value) -> &str {
    alert["alert"].as_str().unwrap()
}

/// Runs promtool in a folder; panics with its output when it fails.
fn check(temp_dir: &Path, args: &[&str]) {
    let output = Command::new(promtool().unwrap())
        .args(args)
        .current_dir(temp_dir)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "promtool {args:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn every_alert_fires_for_its_series_and_is_silent_for_others() {
    let mut rules = rules(ENABLED);
    let names: BTreeSet<String> = alerts(&rules)
        .iter()
        .map(|alert| name(alert).to_owned())
        .collect();
    let temp_dir = TempDir::new("alerts").unwrap();
    let mut files = Vec::new();
    for entry in fs::read_dir(root().join("crates/chart/alerts")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let parsed: Value = serde_saphyr::from_str(&text).unwrap();
        let mut outcomes = BTreeSet::new();
        for case in parsed["tests"].as_array().unwrap() {
            let [expected] = case["alert_rule_test"].as_array().unwrap().as_slice() else {
                panic!("{case}")
            };
            assert_eq!(expected["alertname"], path.file_stem().unwrap().to_str().unwrap());
            let any = !expected["exp_alerts"].as_array().unwrap().is_empty();
            let begins = if any { "fires " } else { "is silent " };
            assert!(case["name"].as_str().unwrap().starts_with(begins), "{case}");
            outcomes.insert(any);
        }
        assert_eq!(outcomes, BTreeSet::from([false, true]), "{}", path.display());
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        fs::write(temp_dir.path().join(&file), text).unwrap();
        files.push(file);
    }
    files.sort();
    let tested: Vec<_> = files.iter().map(|file| file.trim_end_matches(".yaml")).collect();
    assert_eq!(tested, names.iter().collect::<Vec<_>>());
    let write = |rules: &Value| fs::write(temp_dir.path().join("rules.yaml"), rules.to_string()).unwrap();
    write(&rules);
    check(
        temp_dir.path(),
        &["check", "rules", "--lint=all", "--lint-fatal", "rules.yaml"],
    );
    // The texts are not compared: they are checked with the rules.
    for rule in rules["groups"][0]["rules"].as_array_mut().unwrap() {
        rule.as_object_mut().unwrap().remove("annotations");
    }
    write(&rules);
    let files = files.iter().map(String::as_str);
    check(
        temp_dir.path(),
        &["test", "rules"].into_iter().chain(files).collect::<Vec<_>>(),
    );
}

/// The values of the label `job` in the expressions.
fn jobs(rules: &Value) -> BTreeSet<String> {
    let expressions = alerts(rules)
        .into_iter()
        .map(|alert| alert["expr"].as_str().unwrap());
    let selectors = expressions.flat_map(|text| {
        let parts = text.split("job=").skip(1);
        parts.map(|part| part.trim_start_matches('~').split('"').nth(1).unwrap())
    });
    selectors
        .flat_map(|jobs| jobs.split('|').map(str::to_owned))
        .collect()
}

#[test]
fn alerts_look_at_the_services_of_their_release_that_are_scraped() {
    for values in [
        "",
        "apiServer: {mode: frontendBackend}",
        "apiServer: {mode: perEndpoint}",
        "apiServer: {service: {type: LoadBalancer}}",
        "apiServer: {enabled: false}",
        "fullnameOverride: searches",
    ] {
        let monitoring = "monitoring: {serviceMonitor: {enabled: true}, prometheusRule: {enabled: true}}";
        let objects = render(&format!("{monitoring}\n{values}")).unwrap();
        let rules = objects.only("PrometheusRule").unwrap()["spec"].clone();
        let scraped = scraped(&objects).into_iter();
        let services: BTreeSet<String> = scraped
            .map(|service| service["metadata"]["name"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(jobs(&rules), services, "{values}");
        let temp_dir = TempDir::new("alerts").unwrap();
        fs::write(temp_dir.path().join("rules.yaml"), rules.to_string()).unwrap();
        check(
            temp_dir.path(),
            &["check", "rules", "--lint=all", "--lint-fatal", "rules.yaml"],
        );
    }
}

#[test]
fn every_alert_has_texts_and_a_runbook() {
    let rules = rules(&format!("{ENABLED}\nnetworkPolicy: {{enabled: false}}"));
    let readme = read("docs/runbooks/README.md").unwrap();
    for alert in alerts(&rules) {
        let (name, annotations) = (name(alert), &alert["annotations"]);
        assert!(
            alert["expr"].as_str().unwrap().contains("namespace=\"library\""),
            "{alert}"
        );
        let labels = &alert["labels"];
        assert_eq!(
            (&labels["namespace"], &labels["release"]),
            (&"library".into(), &"papers".into())
        );
        for text in ["summary", "description"] {
            assert!(annotations[text].as_str().unwrap().len() > 20, "{name}: {text}");
        }
        let url = annotations["runbook_url"].as_str().unwrap();
        assert_eq!(url, format!("docs/runbooks/{name}.md"));
        let page = read(&format!("docs/runbooks/{name}.md")).unwrap();
        for part in [
            format!("# {name}\n"),
            "\n## What it means\n".to_owned(),
            "\n## Look\n".to_owned(),
            "\n## Fix\n".to_owned(),
        ] {
            assert!(page.contains(&part), "{name}: {part}");
        }
        assert!(
            readme.contains(&format!("[{name}]({name}.md)")),
            "{name} is not in the list"
        );
    }
}

#[test]
fn alert_has_the_values_that_are_set_and_can_be_left_out() {
    let values = read("charts/arxiv-operator/values.yaml").unwrap();
    let defaults: Value = serde_saphyr::from_str(&values).unwrap();
    let defaults = defaults["monitoring"]["prometheusRule"]["alerts"]
        .as_object()
        .unwrap();
    let all = rules(ENABLED);
    assert_eq!(alerts(&all).len(), defaults.len());
    for (left_out, settings) in defaults {
        let set = |value: &str| {
            format!(
                "monitoring: {{prometheusRule: {{enabled: true, runbookUrl: 'https://pages.example/', alerts: {{{left_out}: {value}}}}}}}"
            )
        };
        let rest = rules(&set("{enabled: false}"));
        let names: Vec<_> = alerts(&rest).into_iter().map(name).collect();
        assert_eq!(names.len(), defaults.len() - 1);
        assert!(!names.contains(&left_out.as_str()));
        // Every setting has an effect.
        for (setting, other) in [
            ("for", "77s"),
            ("severity", "page"),
            ("window", "79s"),
            ("resolution", "7s"),
            ("threshold", "0.125"),
        ] {
            if settings.get(setting).is_some() {
                let changed = rules(&set(&format!("{{{setting}: {other}}}")));
                let changed = alerts(&changed)
                    .into_iter()
                    .find(|alert| name(alert) == left_out)
                    .unwrap()
                    .to_string();
                assert!(changed.contains(other), "{left_out} {setting}: {changed}");
                assert!(changed.contains("https://pages.example/Arxiv"), "{changed}");
            }
        }
    }
}
