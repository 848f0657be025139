//! Monitoring is optional, and uses existing metrics.

use std::collections::BTreeSet;

use chart::{Objects, read, render};
use serde_json::Value;

const ALL: &str = "monitoring: {serviceMonitor: {enabled: true, labels: {release: prom}, interval: 15s}, prometheusRule: {enabled: true}, dashboard: {enabled: true}}";

#[test]
fn monitoring_is_off_by_default() {
    let objects = render("").unwrap();
    for kind in ["ServiceMonitor", "PrometheusRule", "ConfigMap"] {
        assert!(objects.of(kind).is_empty(), "{kind}");
    }
}

/// The Services that a `ServiceMonitor` selects, if they have its port.
pub(crate) fn scraped(objects: &Objects) -> Vec<&Value> {
    let mut found = Vec::new();
    for monitor in objects.of("ServiceMonitor") {
        let selector = &monitor["spec"]["selector"];
        for service in objects.of("Service") {
            let labels = &service["metadata"]["labels"];
            let matches = selector["matchLabels"]
                .as_object()
                .unwrap()
                .iter()
                .all(|(key, value)| labels[key] == *value);
            let mut exists = selector["matchExpressions"].as_array().into_iter().flatten();
            if matches && exists.all(|one| !labels[one["key"].as_str().unwrap()].is_null()) {
                assert_eq!(
                    service["spec"]["ports"][0]["name"],
                    monitor["spec"]["endpoints"][0]["port"]
                );
                found.push(service);
            }
        }
    }
    found
}

#[test]
fn service_monitors_select_existing_services() {
    let objects = render(&format!(
        "{ALL}\napiServer: {{mode: perEndpoint}}\ningress: {{enabled: true}}"
    ))
    .unwrap();
    for monitor in objects.of("ServiceMonitor") {
        assert_eq!(monitor["metadata"]["labels"]["release"], "prom");
        assert_eq!(monitor["spec"]["endpoints"][0]["interval"], "15s");
    }
    let found: BTreeSet<&str> = scraped(&objects)
        .iter()
        .filter_map(|service| service["metadata"]["name"].as_str())
        .collect();
    let mut services: BTreeSet<&str> = objects.names("Service").into_iter().collect();
    services.remove("papers-arxiv-operator-queries-any");
    assert_eq!(found, services, "every pod is scraped once");
}

/// The names of the project's metrics in a text, without OpenMetrics' suffixes.
fn metrics(text: &str) -> BTreeSet<(&'static str, String)> {
    let mut found = BTreeSet::new();
    for prefix in ["arxiv_operator_", "arxiv_api_server_"] {
        for (at, _) in text.match_indices(prefix) {
            let name: String = text[at + prefix.len()..]
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            let name = ["_total", "_bucket"]
                .iter()
                .fold(name, |name, end| name.trim_end_matches(end).to_owned());
            found.insert((prefix, name));
        }
    }
    found
}

#[test]
fn rules_and_dashboard_use_existing_metrics() {
    let objects = render(ALL).unwrap();
    let rule = objects.only("PrometheusRule").unwrap();
    let dashboard = objects.only("ConfigMap").unwrap()["data"]["arxiv-operator.json"]
        .as_str()
        .unwrap();
    let parsed: Value = serde_json::from_str(dashboard).unwrap();
    assert!(parsed["panels"].as_array().unwrap().len() >= 8);
    // The README's rule for a Prometheus adapter, and KEDA's query.
    let further = ["charts/arxiv-operator/README.md", "examples/values-keda.yaml"];
    let mut texts = further.map(|path| read(path).unwrap()).to_vec();
    assert!(texts.iter().all(|text| !metrics(text).is_empty()));
    texts.extend([rule.to_string(), dashboard.to_owned()]);
    let used: BTreeSet<_> = texts.iter().flat_map(|text| metrics(text)).collect();
    assert!(used.len() >= 8, "{used:?}");
    for (prefix, name) in used {
        let sources = match prefix {
            "arxiv_operator_" => vec!["operator/src/process/metrics.rs", "operator/src/run.rs"],
            _ => vec![
                "api-server/src/app/metrics.rs",
                "api-server/src/app/mod.rs",
                "api-server/src/http/middleware/metrics.rs",
                "api-server/src/limits/table.rs",
            ],
        };
        let text: String = sources.into_iter().map(|path| read(path).unwrap()).collect();
        assert!(text.contains(&format!("\"{name}\"")), "{prefix}{name} is nowhere");
        assert!(
            text.contains(&format!("\"{}\"", prefix.trim_end_matches('_'))),
            "the prefix {prefix}"
        );
    }
    for group in rule["spec"]["groups"].as_array().unwrap() {
        for alert in group["rules"].as_array().unwrap() {
            assert!(
                alert["expr"].as_str().unwrap().contains("namespace=\"library\""),
                "{alert}"
            );
            assert!(alert["annotations"]["summary"].is_string() && alert["labels"]["severity"].is_string());
        }
    }
}

#[test]
fn adapter_rule_serves_metric_of_autoscaler() {
    let readme = read("charts/arxiv-operator/README.md").unwrap();
    let (_, rest) = readme.split_once("```yaml\nrules:\n").unwrap();
    let (rules, _) = rest.split_once("```").unwrap();
    let rules: Value = serde_saphyr::from_str(&format!("rules:\n{rules}")).unwrap();
    let rule = &rules["rules"]["external"][0];
    let objects = render("apiServer: {autoscaling: {pendingQueries: {enabled: true}}}").unwrap();
    let scaler = objects.only("HorizontalPodAutoscaler").unwrap();
    let external = scaler["spec"]["metrics"]
        .as_array()
        .unwrap()
        .iter()
        .find(|metric| metric["type"] == "External")
        .unwrap();
    assert_eq!(external["external"]["metric"]["name"], rule["name"]["as"]);
    // An external metric belongs to the autoscaler's namespace, by this label.
    assert_eq!(
        rule["resources"]["overrides"]["namespace"]["resource"],
        "namespace"
    );
    assert!(rule["seriesQuery"].as_str().unwrap().contains("namespace!="));
}
