//! values.schema.json: strict, but open where parent charts need it to be.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use chart::{folder, helm, helm3, refusal, render, render_by, render_chart};
use serde_json::Value;
use testbed::TempDir;

#[test]
fn schema_refuses_unknown_values() {
    for values in [
        "operatr: {}",
        "operator: {replica: 2}",
        "apiServer: {autoscaling: {max: 3}}",
        "apiServer: {components: {reults: {}}}",
        "apiServer: {components: {results: {replica: 1}}}",
        "apiServer: {mode: perendpoint}",
        "apiServer: {settings: {wait: 1}}",
        "pod: {nodeselector: {}}",
        "operator: {pod: {extraenv: []}}",
        "postgres: {mode: internal}",
        "postgres: {connections: {readwrite: {}}}",
        "postgres: {connections: {readWrite: {keys: {uri: x}}}}",
        "postgres: {connections: {readWrite: {url: 'postgresql://u:p@h/d'}}}",
        "routes: {endpoints: [nothing]}",
        "networkPolicy: {arxiv: {cidr: x}}",
        "operator: {watchNamespaces: ['*']}",
        "operator: {image: {digest: latest}}",
        "operator: {resources: {requests: {memory: null}}}",
        "log: {level: TRACE}",
        "operator: {terminationGracePeriodSeconds: 20}",
        "operator: {leaderElection: {leaseName: 'A B'}}",
        "apiServer: {access: {endpoints: frontend}}",
        "apiServer: {access: {endpoints: true}}",
        "apiServer: {access: {cacheSeconds: 61}}",
        "apiServer: {access: {callers: {backend: [recorder]}}}",
        "apiServer: {clients: {burst: 0}}",
        "apiServer: {clients: {trustedProxies: [proxy.example]}}",
        "apiServer: {clients: {trustedProxiesHeader: x-real-ip}}",
        "apiServer: {clients: {corsAllowedOrigins: ['*']}}",
        "apiServer: {clients: {publicOrigins: ['papers.example']}}",
        "apiServer: {clients: {maxPriority: 1001}}",
        "apiServer: {settings: {rootPath: api}}",
        "retention: {days: 0}",
    ] {
        let message = refusal(values).unwrap();
        assert!(message.contains("schema"), "{values}: {message}");
    }
}

#[test]
fn schema_allows_any_global_and_enabled() {
    render("global: {anything: {of: others}, imageRegistry: x}\nenabled: true").unwrap();
}

#[test]
fn schema_has_every_default() {
    let read = |file: &str| fs::read_to_string(folder().join(file)).unwrap();
    let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    let values: Value = serde_saphyr::from_str(&read("values.yaml")).unwrap();
    let known: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    let given: Vec<&String> = values.as_object().unwrap().keys().collect();
    let mut sorted = given.clone();
    sorted.sort();
    let mut known_sorted = known.clone();
    known_sorted.sort();
    assert_eq!(sorted, known_sorted);
    let output = Command::new(helm().unwrap())
        .args(["lint", "--strict"])
        .arg(folder())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

/// Copies a folder.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("a copy");
        }
    }
}

#[test]
fn helm_3_renders_the_same() {
    for values in [
        "",
        "apiServer: {mode: frontendBackend, access: {endpoints: off}}\nretention: {days: 2000000}\nmigrations: {hook: helm}",
        &chart::read("examples/values-production.yaml").unwrap(),
        &chart::read("examples/values-production-large.yaml").unwrap(),
    ] {
        let (new, old) = (
            render(values).unwrap(),
            render_by(helm3().unwrap(), &folder(), values).unwrap(),
        );
        let objects =
            |objects: &chart::Objects| objects.iter().map(Value::to_string).collect::<BTreeSet<_>>();
        assert_eq!(objects(&new), objects(&old), "{values}");
    }
    for values in ["operatr: {}", "retention: {days: 0}"] {
        let refused = render_by(helm3().unwrap(), &folder(), values);
        assert!(refused.unwrap_err().to_string().contains("schema"), "{values}");
    }
}

#[test]
fn chart_works_as_subchart() {
    let temp_dir = TempDir::new("parent-chart").unwrap();
    let parent = temp_dir.path();
    fs::write(
        parent.join("Chart.yaml"),
        "apiVersion: v2\nname: parent\nversion: 1.0.0\ndependencies: [{name: arxiv-operator, version: 0.1.0, condition: arxiv-operator.enabled}]\n",
    )
    .unwrap();
    fs::write(
        parent.join("values.yaml"),
        "global: {imageRegistry: mirror.example, storageClass: fast}\narxiv-operator: {enabled: true, apiServer: {mode: frontendBackend}}\n",
    )
    .unwrap();
    copy(&folder(), &parent.join("charts/arxiv-operator"));
    let objects = render_chart(parent, "").unwrap();
    assert_eq!(objects.of("Deployment").len(), 3);
    let image = &objects.of("Deployment")[0]["spec"]["template"]["spec"]["containers"][0]["image"];
    assert!(image.as_str().unwrap().starts_with("mirror.example/"), "{image}");
    assert!(
        render_chart(parent, "arxiv-operator: {enabled: false}")
            .unwrap()
            .iter()
            .next()
            .is_none()
    );
}
