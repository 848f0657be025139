//! Examples for GitOps tools, as far as they can be looked at without these tools.

use chart::{Objects, read, render, root};
use serde_json::Value;

pub(crate) fn phases() -> Vec<Value> {
    let definition: Value = serde_saphyr::from_str(&read("crds/arxivqueries.yaml").unwrap()).unwrap();
    let status = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"];
    status["properties"]["phase"]["enum"].as_array().unwrap().clone()
}

#[test]
fn sources_lead_to_what_is_there() {
    for (file, kind, path) in [
        ("examples/flux/searches.yaml", "Kustomization", "/spec/path"),
        (
            "examples/flux/system.yaml",
            "HelmRelease",
            "/spec/chart/spec/chart",
        ),
        ("examples/argocd/system.yaml", "Application", "/spec/source/path"),
        (
            "examples/argocd/searches.yaml",
            "Application",
            "/spec/source/path",
        ),
    ] {
        let objects = Objects::read(&read(file).unwrap()).unwrap();
        let path = objects.only(kind).unwrap().pointer(path).unwrap();
        assert!(root().join(path.as_str().unwrap()).is_dir(), "{file}: {path}");
    }
}

#[test]
fn the_values_for_production_render() {
    let objects = render(&read("examples/values-production.yaml").unwrap()).unwrap();
    assert_eq!(objects.of("HorizontalPodAutoscaler").len(), 8);
    assert_eq!(objects.of("Cluster").len(), 2);
}

#[test]
fn the_values_for_kind_lead_to_the_port_that_kind_opens() {
    let objects = render(&read("examples/values-kind.yaml").unwrap()).unwrap();
    let service = objects.get("Service", "papers-arxiv-operator-localhost").unwrap();
    let kind = Objects::read(&read("kind-config.yaml").unwrap()).unwrap();
    let opened = &kind.only("Cluster").unwrap()["nodes"][0]["extraPortMappings"][0]["containerPort"];
    assert_eq!(&service["spec"]["ports"][0]["nodePort"], opened);
    let pods = objects.get("Deployment", "papers-arxiv-operator-api").unwrap();
    assert_eq!(
        service["spec"]["selector"],
        pods["spec"]["selector"]["matchLabels"]
    );
    for secret in objects.of("Secret") {
        assert_eq!(secret["type"], "kubernetes.io/basic-auth");
    }
    assert_eq!(objects.of("Secret").len(), 5);
}

#[test]
fn values_in_examples_are_values_of_the_chart() {
    let flux = Objects::read(&read("examples/flux/system.yaml").unwrap()).unwrap();
    let argo = Objects::read(&read("examples/argocd/system.yaml").unwrap()).unwrap();
    for values in [
        &flux.only("HelmRelease").unwrap()["spec"]["values"],
        &argo.only("Application").unwrap()["spec"]["source"]["helm"]["valuesObject"],
    ] {
        assert!(values.is_object());
        render(&values.to_string()).unwrap();
    }
}
