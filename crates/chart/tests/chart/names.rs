//! Names and labels: valid for every release, and different for different releases.

use std::{
    collections::BTreeMap,
    io::Write,
    process::{Command, Stdio},
};

use chart::{Objects, folder, helm};
use serde_json::Value;

use crate::{cluster::cluster, kubernetes::list};

fn release(name: &str, namespace: &str, values: &str) -> Objects {
    let mut child = Command::new(helm().unwrap())
        .args(["template", name])
        .arg(folder())
        .args(["--namespace", namespace, "--values", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(values.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {namespace}: {said}");
    Objects::read(&String::from_utf8(output.stdout).unwrap()).unwrap()
}

/// The type of each value, by its path.
fn types(path: &str, value: &Value, found: &mut BTreeMap<String, &'static str>) {
    match value {
        Value::Object(map) => map
            .iter()
            .for_each(|(key, value)| types(&format!("{path}.{key}"), value, found)),
        Value::Array(list) => list
            .iter()
            .for_each(|value| types(&format!("{path}[]"), value, found)),
        Value::String(_) => drop(found.insert(path.into(), "text")),
        Value::Number(_) => drop(found.insert(path.into(), "number")),
        Value::Bool(_) => drop(found.insert(path.into(), "boolean")),
        Value::Null => drop(found.insert(path.into(), "nothing")),
    }
}

const SHAPES: [&str; 3] = [
    "apiServer: {mode: perEndpoint}\noperator: {watchNamespaces: ['NUMBER']}",
    "
ingress: {enabled: true, className: 'NUMBER', hosts: ['NUMBER']}
monitoring: {dashboard: {enabled: true}, serviceMonitor: {enabled: true}, prometheusRule: {enabled: true}}
httpRoute: {enabled: true, parentRefs: [{name: 'NUMBER'}]}
arxiv: {proxy: {secret: 'NUMBER', key: 'NUMBER'}, contact: 'NUMBER'}
networkPolicy: {arxiv: {to: [{ipBlock: {cidr: 192.0.2.1/32}}], ports: [3128]}}
operator: {leaderElection: {leaseName: 'NUMBER'}, serviceAccount: {create: false, name: 'NUMBER'}}
postgres: {connections: {owner: {secret: 'NUMBER', keys: {url: 'NUMBER'}}, ledger: {secret: 'NUMBER'}}}
apiServer: {queryNamespace: 'NUMBER', access: {endpoints: all}, serviceAccount: {name: 'NUMBER'}}
commonLabels: {team: 'NUMBER'}
pod: {priorityClassName: 'NUMBER', imagePullSecrets: [{name: 'NUMBER'}], labels: {a: 'NUMBER'}}",
    "
postgres: {mode: cnpg, cnpg: {roleSecrets: {arxiv_rw: 'NUMBER'}, readPooler: {enabled: true}, data: {imageName: 'NUMBER', storage: {storageClass: 'NUMBER'}}}}
nameOverride: 'NUMBER'
fullnameOverride: 'NUMBER'",
];

#[test]
fn names_that_look_like_numbers_stay_texts() {
    for shape in SHAPES {
        let of = |objects: &Objects| {
            let mut found = BTreeMap::new();
            for object in objects.iter() {
                let role = &object["metadata"]["labels"]["app.kubernetes.io/component"];
                types(&format!("{} {role}", object["kind"]), object, &mut found);
            }
            found
        };
        let usual = of(&release("papers", "library", &shape.replace("NUMBER", "words")));
        for number in ["12345", "0123", "1e5", "4444"] {
            let numeric = of(&release(number, number, &shape.replace("NUMBER", number)));
            for (path, kind) in &usual {
                assert_eq!(numeric.get(path), Some(kind), "{number}: {path}");
            }
        }
    }
}

/// Longer than every name of Helm can be, and with everything that may be in one.
fn releases() -> Vec<String> {
    let long = "a".repeat(52);
    let mut releases: Vec<String> = ["1", "2"].map(|end| format!("{long}{end}")).into();
    releases.extend(
        [
            "papers",
            "papers-production-eu1",
            "arxiv-operator",
            "arxiv-operator-eu1",
            "papers-arxiv-operator",
            "12345",
            "r12345",
            "a.b",
            "a-b",
            "a--b",
        ]
        .map(str::to_owned),
    );
    releases
}

/// A name of a Service (RFC 1035), which is the narrowest.
fn is_service_name(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.len() <= 63
        && name.bytes().all(inner)
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
}

fn is_label_value(value: &str) -> bool {
    let end = |c: char| c.is_ascii_alphanumeric();
    value.len() <= 63
        && value.chars().all(|c| end(c) || "-_.".contains(c))
        && (value.is_empty() || value.starts_with(end) && value.ends_with(end))
}

#[test]
fn names_from_overrides_are_valid_whatever_they_are() {
    let long = format!("{}_.-{}", "a".repeat(35), "b".repeat(70));
    for given in ["A_b.c", "12345", "0x1F", "1e5", "null", "true", &long] {
        for values in [
            format!("nameOverride: '{given}'"),
            format!("fullnameOverride: '{given}'"),
            format!("nameOverride: '{given}'\nfullnameOverride: '{given}'"),
        ] {
            let objects = release(
                "papers",
                "library",
                &format!("{values}\napiServer: {{mode: perEndpoint}}"),
            );
            for object in objects.iter() {
                let metadata = &object["metadata"];
                let name = metadata["name"].as_str().unwrap();
                if object["kind"] == "Service" || object["kind"] == "Job" {
                    assert!(is_service_name(name), "{values}: {name}");
                }
                for (key, value) in metadata["labels"].as_object().unwrap() {
                    assert!(
                        is_label_value(value.as_str().unwrap()),
                        "{values}: {key}: {value}"
                    );
                }
            }
        }
    }
    for wrong in ["a b", "-a", "a-", "ä"] {
        let message = chart::refusal(&format!("nameOverride: '{wrong}'")).unwrap();
        assert!(message.contains("nameOverride"), "{message}");
    }
}

/// A release with this tag: its objects' kinds, namespaces and names, of which each is valid.
fn names(name: &str, namespace: &str, tag: &str) -> Vec<String> {
    let values = format!(
        "apiServer: {{mode: perEndpoint}}\noperator: {{image: {{tag: '{tag}'}}}}\ncrds: {{enabled: false}}"
    );
    let of = |object: &Value| {
        let (kind, metadata) = (object["kind"].as_str().unwrap(), &object["metadata"]);
        let name = metadata["name"].as_str().unwrap();
        let roles = ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"].contains(&kind);
        let is_long = roles || ["FlowSchema", "PriorityLevelConfiguration"].contains(&kind);
        assert!(name.len() <= if is_long { 253 } else { 63 }, "{kind} {name}");
        format!("{kind} {}/{name}", metadata["namespace"])
    };
    release(name, namespace, &values).iter().map(of).collect()
}

#[test]
fn names_differ_between_releases() {
    let mut taken: BTreeMap<String, String> = BTreeMap::new();
    for release in releases() {
        for namespace in ["library", "library-papers"] {
            let owner = format!("{namespace}/{release}");
            for name in names(&release, namespace, "v1") {
                let other = taken.insert(name.clone(), owner.clone());
                assert!(other.is_none_or(|other| other == owner), "{name}: two releases");
            }
        }
    }
}

#[tokio::test]
async fn names_are_valid_for_every_release_namespace_and_tag() {
    let cluster = cluster().await;
    let long = "a".repeat(53);
    for tag in ["2026.11.28-abcde", "_v1.2.3_Build", "x".repeat(128).as_str()] {
        names(&long, "library", tag);
        names("papers-production-eu1", &"n".repeat(63), tag);
    }
    let namespace = "n".repeat(63);
    cluster.succeeds(&["create", "namespace", &namespace], "");
    for (name, namespace) in [("12345", "papers"), ("a.b", "papers"), (&long, &namespace)] {
        let values = "apiServer: {mode: perEndpoint, access: {endpoints: all}}\ncrds: {enabled: false}";
        let objects = release(name, namespace, values);
        cluster.takes(&list(objects.iter()));
    }
}
