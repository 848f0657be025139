//! Examples for GitOps tools, as far as they can be checked without these tools.

use std::collections::BTreeSet;
use std::fs;

use chart::{Objects, pods, read, render, root};
use serde_json::{Value, json};

use crate::cluster::{Cluster, cluster};
use crate::monitoring::scraped;
use crate::network::flows;

pub(crate) fn phases() -> Vec<Value> {
    let definition: Value = serde_saphyr::from_str(&read("crds/arxivqueries.yaml").unwrap()).unwrap();
    let status = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"];
    status["properties"]["phase"]["enum"].as_array().unwrap().clone()
}

#[test]
fn example_sources_exist_in_repository() {
    for (file, kind, path) in [
        ("examples/feeds/flux.yaml", "Kustomization", "/spec/path"),
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

/// Rendered with the values of an example.
fn with_values() -> Vec<(String, Objects)> {
    let mut found = Vec::new();
    for file in fs::read_dir(root().join("examples")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("values") {
            let objects = render(&fs::read_to_string(path).unwrap()).unwrap();
            found.push((name, objects));
        }
    }
    found
}

#[test]
fn examples_with_monitoring_allow_prometheus() {
    let mut scraped_pods = 0;
    for (file, objects) in with_values() {
        let given: Value = serde_saphyr::from_str(&read(&format!("examples/{file}")).unwrap()).unwrap();
        let callers: Vec<Value> = given["networkPolicy"]["from"]
            .as_array()
            .cloned()
            .unwrap_or_else(|| vec![json!({"podSelector": {}})]);
        let is_test =
            |peer: &Value| peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "test";
        for service in scraped(&objects) {
            let name = &service["metadata"]["name"];
            let pods = pods(&objects);
            let pod = pods.iter().find(|pod| *name == pod.name).unwrap();
            let rules = flows(&objects, pod, "ingress");
            let mut peers = rules
                .iter()
                .flat_map(|rule| rule["from"].as_array().into_iter().flatten());
            assert!(
                peers.any(|peer| !callers.contains(peer) && !is_test(peer)),
                "{file}: nobody may scrape {name}"
            );
            scraped_pods += 1;
        }
    }
    assert!(scraped_pods >= 11, "{scraped_pods}");
}

#[test]
fn examples_with_routes_set_trusted_proxies() {
    let mut routed = 0;
    for (file, objects) in with_values() {
        if objects.of("HTTPRoute").is_empty() && objects.of("Ingress").is_empty() {
            continue;
        }
        for pod in pods(&objects)
            .iter()
            .filter(|pod| pod.container["name"] == "api-server")
        {
            assert!(pod.env().contains_key("TRUSTED_PROXIES"), "{file}: {}", pod.name);
            routed += 1;
        }
    }
    assert!(routed >= 10, "{routed}");
}

#[test]
fn kind_values_use_port_of_kind_config() {
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
    // And the one with the key of clients' labels.
    let secrets = objects.of("Secret").into_iter();
    let users = secrets.filter(|secret| secret["metadata"]["name"] != "papers-arxiv-operator-client-key");
    let types: Vec<_> = users.map(|secret| &secret["type"]).collect();
    assert_eq!(types, ["kubernetes.io/basic-auth"; 5]);
}

#[test]
fn example_values_are_in_chart_schema() {
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

/// The Secrets that pods take credentials from, and their keys.
fn credentials(objects: &Objects) -> BTreeSet<(String, String)> {
    pods(objects)
        .iter()
        .flat_map(chart::Container::credentials)
        .map(|reference| {
            let (secret, key) = reference.split_once('/').unwrap();
            (secret.to_owned(), key.to_owned())
        })
        .collect()
}

#[test]
fn system_examples_name_required_secrets() {
    for (file, kind, release, values) in [
        (
            "examples/flux/system.yaml",
            "HelmRelease",
            "/spec/releaseName",
            "/spec/values",
        ),
        (
            "examples/argocd/system.yaml",
            "Application",
            "/spec/source/helm/releaseName",
            "/spec/source/helm/valuesObject",
        ),
    ] {
        let text = read(file).unwrap();
        let system = Objects::read(&text).unwrap();
        let system = system.only(kind).unwrap();
        let mut values = system.pointer(values).unwrap().clone();
        values["fullnameOverride"] = system.pointer(release).unwrap().clone();
        let needed = credentials(&render(&values.to_string()).unwrap());
        assert!(needed.len() >= 7, "{needed:?}");
        for (secret, key) in needed {
            let named = |word: &str| {
                text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
                    .any(|named| named == word)
            };
            assert!(
                named(&secret) && named(&key),
                "{file} does not tell of {secret}/{key}"
            );
        }
    }
}

#[test]
fn external_secret_has_keys_that_pods_read() {
    let objects = render(&read("examples/values-external-secrets.yaml").unwrap()).unwrap();
    let spec = &objects.only("ExternalSecret").unwrap()["spec"];
    let written: BTreeSet<(String, String)> = spec["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (text(&spec["target"]["name"]), text(&entry["secretKey"]))
        })
        .collect();
    assert_eq!(written, credentials(&objects));
}

#[test]
fn keda_target_has_no_other_autoscaler() {
    let objects = render(&read("examples/values-keda.yaml").unwrap()).unwrap();
    let spec = &objects.only("ScaledObject").unwrap()["spec"];
    let name = spec["scaleTargetRef"]["name"].as_str().unwrap();
    let deployment = objects.get("Deployment", name).unwrap();
    assert!(deployment["spec"]["replicas"].is_null());
    assert!(!objects.names("HorizontalPodAutoscaler").contains(&name));
    let values: Value = serde_saphyr::from_str(&read("examples/values-keda.yaml").unwrap()).unwrap();
    let reckoned = &values["apiServer"]["components"]["frontend"]["autoscaling"]["maxReplicas"];
    assert_eq!(
        &spec["maxReplicaCount"], reckoned,
        "the pools are computed from it"
    );
}

/// The namespaces of kustomize's output for a folder.
fn namespaces_of(cluster: &Cluster, folder: &str) -> BTreeSet<String> {
    let folder = root().join(folder);
    let built = cluster.succeeds(&["kustomize", &folder.to_string_lossy()], "");
    let objects = Objects::read(&built).unwrap();
    let namespace = |object: &Value| object["metadata"]["namespace"].as_str().unwrap().to_owned();
    objects.iter().map(namespace).collect()
}

#[tokio::test]
async fn kustomize_creates_every_used_namespace() {
    let cluster = cluster().await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut filled = 0;
    for file in ["flux/searches", "flux/system", "argocd/searches", "argocd/system"] {
        let objects = Objects::read(&read(&format!("examples/{file}.yaml")).unwrap()).unwrap();
        let mut made: BTreeSet<String> = objects
            .names("Namespace")
            .into_iter()
            .map(str::to_owned)
            .collect();
        let mut needed = BTreeSet::new();
        for object in objects.iter() {
            let spec = &object["spec"];
            match object["kind"].as_str().unwrap() {
                "Kustomization" => needed.extend(namespaces_of(cluster, &text(&spec["path"]))),
                "HelmRelease" => {
                    needed.insert(text(&spec["targetNamespace"]));
                    if spec["install"]["createNamespace"] == true {
                        made.insert(text(&spec["targetNamespace"]));
                    }
                }
                "Application" => {
                    let target = text(&spec["destination"]["namespace"]);
                    let options = spec["syncPolicy"]["syncOptions"].as_array().unwrap();
                    if options.contains(&json!("CreateNamespace=true")) {
                        made.insert(target.clone());
                    }
                    needed.insert(target);
                    let path = text(&spec["source"]["path"]);
                    if path.starts_with("examples/") {
                        needed.extend(namespaces_of(cluster, &path));
                    }
                }
                _ => {}
            }
        }
        assert!(
            needed.is_subset(&made),
            "examples/{file}.yaml: {needed:?}, made are {made:?}"
        );
        filled += needed.len();
    }
    assert_eq!(filled, 4);
}

#[test]
fn gitops_page_names_every_mutable_field() {
    let definition: Value = serde_saphyr::from_str(&read("crds/arxivqueries.yaml").unwrap()).unwrap();
    let spec = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let rules = spec["x-kubernetes-validations"].to_string();
    let kept: BTreeSet<&str> = rules
        .split("oldSelf.")
        .skip(1)
        .filter_map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric()).next())
        .collect();
    let is_kept = |field: &Value| {
        field["x-kubernetes-validations"]
            .to_string()
            .contains("self == oldSelf")
    };
    let fields = spec["properties"].as_object().unwrap().iter();
    let free: BTreeSet<&str> = fields
        .filter(|(name, field)| !kept.contains(name.as_str()) && !is_kept(field))
        .map(|(name, _)| name.as_str())
        .collect();
    let page = read("docs/gitops.md").unwrap();
    let (before, _) = page.split_once(" may be changed in place").unwrap();
    let sentence = before.rsplit_once(". ").unwrap().1;
    let named: BTreeSet<&str> = sentence.split('`').skip(1).step_by(2).collect();
    assert_eq!(named, free);
}
