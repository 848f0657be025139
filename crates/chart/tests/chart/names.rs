//! Names and labels: valid for every release, and different for different releases.

use std::{
    collections::BTreeMap,
    io::Write,
    process::{Command, Stdio},
};

use chart::{Objects, folder, helm};
use serde_json::Value;

use crate::cluster::{TAKE, cluster};

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

#[tokio::test]
async fn names_are_valid_and_differ_between_releases_and_tags() {
    let cluster = cluster().await;
    let mut taken: BTreeMap<String, String> = BTreeMap::new();
    for name in releases() {
        for namespace in ["library", "library-papers"] {
            for tag in ["2026.11.28-abcde", "_v1.2.3_Build", "x".repeat(128).as_str()] {
                let values = format!(
                    "apiServer: {{mode: perEndpoint}}\noperator: {{image: {{tag: '{tag}'}}}}\ncrds: {{enabled: false}}"
                );
                for object in release(&name, namespace, &values).iter() {
                    let (kind, metadata) = (object["kind"].as_str().unwrap(), &object["metadata"]);
                    let found = metadata["name"].as_str().unwrap();
                    let roles = kind.starts_with("ClusterRole") || kind == "Role" || kind == "RoleBinding";
                    assert!(found.len() <= if roles { 253 } else { 63 }, "{kind} {found}");
                    let key = format!("{kind} {}/{found}", metadata["namespace"]);
                    let owner = format!("{namespace}/{name}");
                    let other = taken.insert(key.clone(), owner.clone());
                    assert!(other.is_none_or(|other| other == owner), "{key}: two releases");
                }
            }
        }
    }
    for name in ["12345", "a.b", &"a".repeat(53)] {
        for object in release(
            name,
            "papers",
            "apiServer: {mode: perEndpoint}\ncrds: {enabled: false}",
        )
        .iter()
        {
            let output = cluster.kubectl(&TAKE, &object.to_string());
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{name}: {said}\n{object}");
        }
    }
}
