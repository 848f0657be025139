//! Monitoring is there when asked for, and about metrics that exist.

use std::collections::BTreeSet;

use chart::{read, render};
use serde_json::Value;

const ALL: &str = "monitoring: {serviceMonitor: {enabled: true, labels: {release: prom}, interval: 15s}, prometheusRule: {enabled: true}, dashboard: {enabled: true}}";

#[test]
fn it_is_off_unless_asked_for() {
    let objects = render("").unwrap();
    for kind in ["ServiceMonitor", "PrometheusRule", "ConfigMap"] {
        assert!(objects.of(kind).is_empty(), "{kind}");
    }
}

#[test]
fn service_monitors_find_the_services() {
    let objects = render(&format!(
        "{ALL}\napiServer: {{mode: perEndpoint}}\ningress: {{enabled: true}}"
    ))
    .unwrap();
    let mut found = BTreeSet::new();
    for monitor in objects.of("ServiceMonitor") {
        assert_eq!(monitor["metadata"]["labels"]["release"], "prom");
        assert_eq!(monitor["spec"]["endpoints"][0]["interval"], "15s");
        let selector = &monitor["spec"]["selector"];
        for service in objects.of("Service") {
            let labels = &service["metadata"]["labels"];
            let matches = selector["matchLabels"]
                .as_object()
                .unwrap()
                .iter()
                .all(|(key, value)| labels[key] == *value);
            let exists = selector["matchExpressions"].as_array().into_iter().flatten();
            if matches
                && exists
                    .into_iter()
                    .all(|one| !labels[one["key"].as_str().unwrap()].is_null())
            {
                assert_eq!(
                    service["spec"]["ports"][0]["name"],
                    monitor["spec"]["endpoints"][0]["port"]
                );
                found.insert(service["metadata"]["name"].as_str().unwrap());
            }
        }
    }
    let mut services: BTreeSet<&str> = objects.names("Service").into_iter().collect();
    services.remove("papers-arxiv-operator-queries-any");
    assert_eq!(found, services, "every pod is scraped once");
}

/// The names of our metrics in a text, without what OpenMetrics puts behind them.
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
fn rules_and_dashboard_name_metrics_that_exist() {
    let objects = render(ALL).unwrap();
    let rule = objects.only("PrometheusRule").unwrap();
    let dashboard = objects.only("ConfigMap").unwrap()["data"]["arxiv-operator.json"]
        .as_str()
        .unwrap();
    let parsed: Value = serde_json::from_str(dashboard).unwrap();
    assert!(parsed["panels"].as_array().unwrap().len() >= 8);
    let used: BTreeSet<_> = metrics(&rule.to_string())
        .union(&metrics(dashboard))
        .cloned()
        .collect();
    assert!(used.len() >= 8, "{used:?}");
    for (prefix, name) in used {
        let sources = match prefix {
            "arxiv_operator_" => ["operator/src/metrics.rs", "operator/src/run.rs"],
            _ => ["api-server/src/metrics.rs", "api-server/src/lib.rs"],
        };
        let text: String = sources.map(|path| read(path).unwrap()).concat();
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
