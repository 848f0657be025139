//! Monitoring is optional, and uses existing metrics.

use std::collections::BTreeSet;

use chart::{Objects, read, render};
use serde_json::Value;

const ALL: &str = "monitoring: {serviceMonitor: {enabled: true, labels: {release: prom}, interval: 15s}, prometheusRule: {enabled: true}, dashboard: {enabled: true}}";

#[test]
fn monitoring_is_off_by_default() {
    let objects = render("").unwrap();
    for kind in ["ServiceMonitor", "PrometheusRule"] {
        assert!(objects.of(kind).is_empty(), "{kind}");
    }
    assert_eq!(objects.names("ConfigMap"), ["papers-arxiv-operator-log"]);
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
                // Another Service without the port has no endpoints to scrape.
                let port = &monitor["spec"]["endpoints"][0]["port"];
                let mut ports = service["spec"]["ports"].as_array().unwrap().iter();
                if ports.any(|one| one["name"] == *port) {
                    found.push(service);
                }
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

#[test]
fn metrics_have_a_port_of_their_own_that_users_do_not_reach() {
    for (kind, scraped_service) in [
        ("ClusterIP", "papers-arxiv-operator-api"),
        ("LoadBalancer", "papers-arxiv-operator-api-metrics"),
    ] {
        let objects = render(&format!("{ALL}\napiServer: {{service: {{type: {kind}}}}}")).unwrap();
        let found = scraped(&objects);
        let names: Vec<_> = found
            .iter()
            .map(|service| service["metadata"]["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, [scraped_service, "papers-arxiv-operator-operator"]);
        for service in objects.of("Service") {
            let mut ports = service["spec"]["ports"].as_array().unwrap().iter();
            let open = service["spec"]["type"] == "LoadBalancer";
            assert!(!open || ports.all(|port| port["name"] != "metrics"), "{service}");
        }
        let pods = chart::pods(&objects);
        let api = pods
            .iter()
            .find(|pod| pod.container["name"] == "api-server")
            .unwrap();
        assert_eq!(api.env()["METRICS_LISTEN"], "[::]:9090");
        let mut ports = api.container["ports"].as_array().unwrap().iter();
        assert!(ports.any(|port| port["name"] == "metrics" && port["containerPort"] == 9090));
    }
}

/// The names of the project's metrics in a text, without the suffixes of histograms.
fn metrics(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for prefix in ["arxiv_operator_", "arxiv_api_server_"] {
        for (at, _) in text.match_indices(prefix) {
            let name: String = text[at..]
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            let name = ["_bucket", "_sum", "_count"]
                .iter()
                .fold(name.as_str(), |name, end| name.trim_end_matches(end));
            found.insert(name.to_owned());
        }
    }
    found
}

#[test]
fn rules_and_dashboard_use_documented_metrics() {
    let objects = render(ALL).unwrap();
    let rule = objects.only("PrometheusRule").unwrap();
    let dashboard = objects.get("ConfigMap", "papers-arxiv-operator-dashboard");
    let dashboard = dashboard.unwrap()["data"]["arxiv-operator.json"]
        .as_str()
        .unwrap();
    let parsed: Value = serde_json::from_str(dashboard).unwrap();
    assert!(parsed["panels"].as_array().unwrap().len() >= 14);
    // The README's rule for a Prometheus adapter, and KEDA's query.
    let further = ["charts/arxiv-operator/README.md", "examples/values-keda.yaml"];
    let mut texts = further.map(|path| read(path).unwrap()).to_vec();
    assert!(texts.iter().all(|text| !metrics(text).is_empty()));
    texts.extend([rule.to_string(), dashboard.to_owned()]);
    let runbooks = std::fs::read_dir(chart::root().join("docs/runbooks")).unwrap();
    texts.extend(runbooks.map(|page| std::fs::read_to_string(page.unwrap().path()).unwrap()));
    let used: BTreeSet<_> = texts.iter().flat_map(|text| metrics(text)).collect();
    assert!(used.len() >= 12, "{used:?}");
    // A test of each program compares this page with what it registers.
    let page = read("docs/metrics.md").unwrap();
    for name in used {
        assert!(page.contains(&format!("| `{name}` |")), "{name} is nowhere");
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
