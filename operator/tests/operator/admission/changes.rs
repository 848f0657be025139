//! What can change in an object, and what its status may be.

use crd::{ArxivQuery, ArxivQuerySpec, ArxivSearch};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use testbed::ControlPlane;

use super::refusal;

#[tokio::test(flavor = "multi_thread")]
async fn search_is_immutable_and_job_fields_can_change() {
    let plane = ControlPlane::shared().await.unwrap();
    let (client, namespace) = (plane.client().await.unwrap(), plane.namespace().await.unwrap());
    let queries: Api<ArxivQuery> = Api::namespaced(client, &namespace);
    let search = ArxivSearch {
        author: Some("knuth".into()),
        id_list: Some(vec!["2401.01234".into()]),
        sort_by: crd::SortBy::LastUpdatedDate,
        ..ArxivSearch::default()
    };
    let spec = ArxivQuerySpec {
        search,
        ..ArxivQuerySpec::default()
    };
    queries
        .create(&PostParams::default(), &ArxivQuery::new("q", spec))
        .await
        .unwrap();
    let change = async |spec: &Value| {
        let patch = json!({ "spec": spec });
        queries
            .patch("q", &PatchParams::default(), &Patch::Merge(&patch))
            .await
    };
    for changed in [
        json!({"search": {"author": "other"}}),
        json!({"search": {"author": null, "title": "x"}}),
        json!({"search": {"title": "added"}}),
        json!({"search": {"journal": "added"}}),
        json!({"search": {"sortBy": null}}),
        json!({"search": {"sortBy": "SubmittedDate"}}),
        json!({"search": {"sortOrder": "Ascending"}}),
        json!({"maxResults": 9}),
        json!({"search": {"abstract": "added"}}),
        json!({"search": {"category": "cs.LG"}}),
        json!({"search": {"comment": "added"}}),
        json!({"search": {"reportNumber": "added"}}),
        json!({"search": {"all": "added"}}),
        json!({"search": {"idList": null}}),
        json!({"search": {"idList": ["2401.01235"]}}),
        json!({"search": {"submittedAfter": "2024-01-01T00:00:00Z"}}),
        json!({"search": {"submittedBefore": "2024-01-01T00:00:00Z"}}),
        json!({"cachePolicy": "Refresh"}),
        json!({"start": 1}),
    ] {
        let (status, message) = refusal(change(&changed).await);
        assert_eq!(status, 422, "{changed}: {message}");
        assert!(
            message.contains(" cannot be changed; create a new ArxivQuery"),
            "{changed}: {message}"
        );
        let is_of_search = changed.get("search").is_some();
        assert_eq!(
            message.contains("spec.search: Invalid value"),
            is_of_search,
            "{message}"
        );
    }
    for allowed in [
        json!({"suspend": true}),
        json!({"suspend": false}),
        json!({"failurePolicy": "FailFast"}),
        json!({"priority": 1_000}),
        json!({"backoffLimit": 1}),
        json!({"pendingDeadlineSeconds": 60}),
        json!({"activeDeadlineSeconds": 60}),
        json!({"ttlSecondsAfterFinished": 60}),
        json!({"ttlSecondsAfterFinished": null}),
    ] {
        change(&allowed)
            .await
            .unwrap_or_else(|error| panic!("{allowed}: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn final_phase_and_query_id_cannot_change() {
    let plane = ControlPlane::shared().await.unwrap();
    let (client, namespace) = (plane.client().await.unwrap(), plane.namespace().await.unwrap());
    let queries: Api<ArxivQuery> = Api::namespaced(client, &namespace);
    let spec = ArxivQuerySpec {
        search: ArxivSearch {
            author: Some("knuth".into()),
            ..ArxivSearch::default()
        },
        ..ArxivQuerySpec::default()
    };
    let apply = async |name: &str, status: &Value| {
        let patch = json!({
            "apiVersion": "arxiv-operator.dev/v1alpha1", "kind": "ArxivQuery",
            "metadata": {"name": name}, "status": status,
        });
        let parameters = PatchParams::apply("arxiv-operator").force();
        queries
            .patch_status(name, &parameters, &Patch::Apply(&patch))
            .await
    };
    for end in ["Succeeded", "Failed"] {
        let name = end.to_lowercase();
        queries
            .create(&PostParams::default(), &ArxivQuery::new(&name, spec.clone()))
            .await
            .unwrap();
        apply(&name, &json!({"phase": end, "queryId": 7})).await.unwrap();
        for (late, text) in [
            (
                json!({"phase": "Running", "queryId": 7}),
                "a finished ArxivQuery stays finished",
            ),
            (json!({"queryId": 7}), "a finished ArxivQuery stays finished"),
            (
                json!({"phase": end, "queryId": 8}),
                "status.queryId is given once",
            ),
            (json!({"phase": end}), "status.queryId is given once"),
        ] {
            let (status, message) = refusal(apply(&name, &late).await);
            assert_eq!(status, 422, "{end}, {late}: {message}");
            assert!(message.contains(text), "{end}, {late}: {message}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_have_the_bounds_of_those_of_kubernetes() {
    let plane = ControlPlane::shared().await.unwrap();
    let (client, namespace) = (plane.client().await.unwrap(), plane.namespace().await.unwrap());
    let queries: Api<ArxivQuery> = Api::namespaced(client, &namespace);
    let search = ArxivSearch {
        author: Some("knuth".into()),
        ..ArxivSearch::default()
    };
    let spec = ArxivQuerySpec {
        search,
        ..ArxivQuerySpec::default()
    };
    let params = PostParams::default();
    queries
        .create(&params, &ArxivQuery::new("q", spec))
        .await
        .unwrap();
    let apply = async |changed: (&str, Value)| {
        let mut condition = json!({"type": "Ready", "status": "False", "reason": "Pending", "message": "",
            "lastTransitionTime": "2024-05-06T00:00:00Z", "observedGeneration": 1});
        condition[changed.0] = changed.1;
        let patch = json!({
            "apiVersion": "arxiv-operator.dev/v1alpha1", "kind": "ArxivQuery",
            "metadata": {"name": "q"}, "status": {"phase": "Pending", "conditions": [condition]},
        });
        let parameters = PatchParams::apply("arxiv-operator").force();
        queries
            .patch_status("q", &parameters, &Patch::Apply(&patch))
            .await
    };
    apply(("status", json!("Unknown"))).await.unwrap();
    apply(("type", json!("example.org/Ready"))).await.unwrap();
    for wrong in [
        ("type", json!("not a type")),
        ("type", json!("x".repeat(317))),
        ("status", json!("Maybe")),
        ("reason", json!("")),
        ("reason", json!("not a reason")),
        ("reason", json!("x".repeat(1_025))),
        ("message", json!("x".repeat(32_769))),
        ("observedGeneration", json!(-1)),
    ] {
        let (status, message) = refusal(apply(wrong.clone()).await);
        assert_eq!(status, 422, "{wrong:?}: {message}");
    }
}
