//! What is rendered equals what a real API server stores: GitOps tools see no difference.

use std::collections::{BTreeMap, BTreeSet};

use chart::render;
use serde_json::{Value, json};

use crate::{
    cluster::{TAKE, cluster},
    kubernetes::{install_definitions, list},
};

/// Everything that the chart can render.
const VALUES: [&str; 4] = [
    "
ingress: {enabled: true, className: c, hosts: [a.example], tls: [{hosts: [a.example], secretName: t}]}
monitoring: {dashboard: {enabled: true}, serviceMonitor: {enabled: true, interval: 30s}, prometheusRule: {enabled: true}}
httpRoute: {enabled: true, parentRefs: [{name: public, namespace: gateways}], hostnames: [a.example]}
postgres: {tls: {mode: verify-full, rootCert: {secret: pg-ca}}}
arxiv: {caBundle: {configMap: ca}, proxy: {secret: proxy}}
networkPolicy: {arxiv: {to: [{ipBlock: {cidr: 192.0.2.1/32}}], ports: [3128]}}
apiServer: {access: {endpoints: all, callers: {frontend: [{kind: Group, name: readers, apiGroup: rbac.authorization.k8s.io}]}}}
pod: {imagePullSecrets: [{name: a}], tolerations: [{key: spot, operator: Exists}], hostAliases: [{ip: 192.0.2.1, hostnames: [pg]}]}",
    "
postgres:
  mode: cnpg
  cnpg:
    data: {imageName: pg, storage: {storageClass: fast}}
    readPooler: {enabled: true}
    scheduledBackup: {enabled: true, pluginConfiguration: {name: barman}}
httpRoute: {enabled: true, parentRefs: [{name: public}]}
apiServer: {mode: perEndpoint}
operator: {watchNamespaces: [library]}",
    "postgres: {mode: cnpg, cnpg: {data: {instances: 1}, sequence: {instances: 1}}}\napiServer: {mode: frontendBackend, autoscaling: {pendingQueries: {enabled: true}}}",
    "service: {ipFamilyPolicy: SingleStack, ipFamilies: [IPv4]}\nmigrations: {hook: helm, ttlSecondsAfterFinished: 600}\nprobes: {startup: {failureThreshold: 3}}",
];

/// Where the stored object says something else than the rendered one. Of kinds that are not Kubernetes' own, tools do not know the
/// defaults: there nothing may be added either, except to what is not given at all.
fn differences(path: &str, rendered: &Value, stored: &Value, exact: bool, found: &mut Vec<String>) {
    match (rendered, stored) {
        (Value::Object(rendered), Value::Object(stored)) => {
            for (key, value) in rendered {
                let stored = stored.get(key).unwrap_or(&Value::Null);
                differences(&format!("{path}.{key}"), value, stored, exact, found);
            }
            let added = stored.keys().filter(|key| exact && !rendered.contains_key(*key));
            found.extend(added.map(|key| format!("{path}.{key} is added: {}", stored[key])));
        }
        (Value::Array(rendered), Value::Array(stored)) if rendered.len() == stored.len() => {
            for (at, (rendered, stored)) in rendered.iter().zip(stored).enumerate() {
                differences(&format!("{path}[{at}]"), rendered, stored, exact, found);
            }
        }
        _ if rendered == stored => {}
        _ => found.push(format!("{path}: {rendered} is stored as {stored}")),
    }
}

/// What distinguishes an object from others.
fn identity(object: &Value) -> String {
    let metadata = &object["metadata"];
    format!(
        "{} {}/{}",
        object["kind"], metadata["namespace"], metadata["name"]
    )
}

/// Kinds whose defaults GitOps tools know, because they are those of Kubernetes itself.
fn is_of_kubernetes(object: &Value) -> bool {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let group = version.split_once('/').map_or("", |(group, _)| group);
    !group.contains('.') || group.ends_with(".k8s.io") && group != "gateway.networking.k8s.io"
}

#[tokio::test]
async fn rendered_object_equals_the_stored_one_after_defaulting() {
    let cluster = cluster().await;
    install_definitions(cluster).await;
    // Prints the objects as they would be stored, with defaults.
    let stored_as_json = [&TAKE[..], &["-o", "json"]].concat();
    let mut found = Vec::new();
    let mut kinds = BTreeSet::new();
    for values in VALUES {
        let objects = render(values).unwrap();
        // `helm test` makes its pod, and no GitOps tool.
        let rendered = || objects.iter().filter(|object| object["kind"] != "Pod");
        let stored: Value =
            serde_json::from_str(&cluster.succeeds(&stored_as_json, &list(rendered()))).unwrap();
        let stored = stored["items"].as_array().unwrap();
        let stored: BTreeMap<_, _> = stored.iter().map(|object| (identity(object), object)).collect();
        assert_eq!(stored.len(), rendered().count());
        for object in rendered() {
            let path = identity(object);
            kinds.insert(object["kind"].as_str().unwrap().to_owned());
            for (key, value) in object.as_object().unwrap() {
                let exact = !is_of_kubernetes(object) && key == "spec";
                let stored = &stored[&path][key];
                differences(&format!("{path}.{key}"), value, stored, exact, &mut found);
            }
        }
    }
    found.sort();
    found.dedup();
    assert!(found.is_empty(), "{}", found.join("\n"));
    let expected = "ClusterRole ClusterRoleBinding ConfigMap CustomResourceDefinition Deployment FlowSchema HTTPRoute \
                    HorizontalPodAutoscaler Ingress Job NetworkPolicy PodDisruptionBudget Pooler PriorityLevelConfiguration \
                    PrometheusRule Role RoleBinding ScheduledBackup Secret Service ServiceAccount ServiceMonitor Cluster";
    let missing: Vec<&str> = expected
        .split_whitespace()
        .filter(|kind| !kinds.contains(*kind))
        .collect();
    assert!(missing.is_empty(), "not compared: {missing:?}");
}

#[test]
fn difference_is_found_in_maps_lists_and_additions() {
    let rendered = json!({"a": "1000m", "list": [{"name": "x"}], "same": {"b": 1}});
    let stored = json!({"a": "1", "list": [{"name": "x", "weight": 1}], "same": {"b": 1}, "more": true});
    let find = |exact| {
        let mut found = Vec::new();
        differences("o", &rendered, &stored, exact, &mut found);
        found
    };
    assert_eq!(find(false), ["o.a: \"1000m\" is stored as \"1\""]);
    assert_eq!(find(true).len(), 3);
}
