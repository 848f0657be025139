//! Flux' health expressions for an ArxivQuery, evaluated by the CEL of a real API server.

use std::time::{Duration, Instant};

use chart::{Objects, read};
use serde_json::{Value, json};

use crate::cluster::{Cluster, cluster};
use crate::examples::phases;

/// A policy that allows a `ConfigMap` in the namespace of the same name only if the expression is true for it.
fn policy(name: &str, expression: &str) -> Value {
    let configmaps = json!([{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}]);
    let version = "admissionregistration.k8s.io/v1";
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": version, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name}, "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": configmaps},
            "validations": [{"expression": expression}],
        }},
        {"apiVersion": version, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name}, "spec": {
            "policyName": name,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}},
        }},
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
    ]})
}

fn is_true(cluster: &Cluster, name: &str, phase: &str) -> bool {
    let phase = format!("--from-literal=phase={phase}");
    let create = [
        "create",
        "configmap",
        "query",
        &phase,
        "-n",
        name,
        "--dry-run=server",
    ];
    cluster.kubectl(&create, "").status.success()
}

#[tokio::test]
async fn flux_health_is_right_for_every_phase() {
    let cluster = cluster().await;
    let searches = Objects::read(&read("examples/flux/searches.yaml").unwrap()).unwrap();
    let check = &searches.only("Kustomization").unwrap()["spec"]["healthCheckExprs"][0];
    assert_eq!(
        (&check["apiVersion"], &check["kind"]),
        (&json!("arxiv-operator.dev/v1alpha1"), &json!("ArxivQuery"))
    );
    let states = ["inProgress", "current", "failed"];
    let name = |state: &str| format!("flux-{}", state.to_lowercase());
    for state in states {
        // In Flux an expression sees the object's fields, in a policy the whole object.
        let expression = check[state]
            .as_str()
            .unwrap()
            .replace("status.phase", "object.data.phase");
        let policy = policy(&name(state), &expression);
        cluster.succeeds(&["apply", "-f", "-"], &policy.to_string());
        let deadline = Instant::now() + Duration::from_mins(1);
        while is_true(cluster, &name(state), "None") {
            assert!(Instant::now() < deadline, "{state}: the policy is not in force");
        }
    }
    for phase in phases() {
        let phase = phase.as_str().unwrap();
        let expected = match phase {
            "Pending" | "Running" => "inProgress",
            "Succeeded" | "Suspended" => "current",
            "Failed" => "failed",
            other => panic!("a new phase: {other}"),
        };
        for state in states {
            assert_eq!(
                is_true(cluster, &name(state), phase),
                state == expected,
                "{phase} {state}"
            );
        }
    }
}
