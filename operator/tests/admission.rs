//! What Kubernetes itself refuses, and in which words.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use crd::{ArxivQuery, ArxivQuerySpec};
use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams, PostParams},
    core::ApiResource,
};
use serde_json::{Value, json};
use testbed::ControlPlane;

/// The refusal's status and text.
fn refusal<T: std::fmt::Debug>(outcome: kube::Result<T>) -> (u16, String) {
    match outcome {
        Err(kube::Error::Api(status)) => (status.code, status.message),
        other => panic!("it was not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_searches_are_refused_with_their_reason() {
    let plane = ControlPlane::shared().await.unwrap();
    let (client, namespace) = (plane.client().await.unwrap(), plane.namespace().await.unwrap());
    let queries: Api<DynamicObject> =
        Api::namespaced_with(client, &namespace, &ApiResource::erase::<ArxivQuery>(&()));
    let long = "x".repeat(513);
    let cases: &[(Value, &str)] = &[
        (json!({}), "at least one search field is needed"),
        (json!({"maxResults": 8}), "at least one search field is needed"),
        (json!({"title": null}), "at least one search field is needed"),
        (json!({"title": ""}), "must not be blank"),
        (
            json!({"title": "  "}),
            "spec.title: Invalid value: \"  \": must not be blank",
        ),
        (json!({"author": "\u{3000}\u{a0}"}), "must not be blank"),
        (json!({"journal": long}), "spec.journal: Too long"),
        (
            json!({"title": "x", "maxResults": 0}),
            "should be greater than or equal to 1",
        ),
        (
            json!({"title": "x", "maxResults": 30_001}),
            "should be less than or equal to 30000",
        ),
        (
            json!({"title": "x", "start": -1}),
            "should be greater than or equal to 0",
        ),
        (
            json!({"title": "x", "sortBy": "date"}),
            "Unsupported value: \"date\"",
        ),
        (json!({"title": 5}), "must be of type string"),
        (
            json!({"title": "x", "backoffLimit": -1}),
            "should be greater than or equal to 0",
        ),
        (
            json!({"title": "x", "activeDeadlineSeconds": 0}),
            "should be greater than or equal to 1",
        ),
        (
            json!({"title": "x", "ttlSecondsAfterFinished": -1}),
            "should be greater than or equal to 0",
        ),
    ];
    for (spec, text) in cases {
        let object = json!({
            "apiVersion": "arxiv-operator.dev/v1alpha1", "kind": "ArxivQuery",
            "metadata": {"name": "bad"}, "spec": spec,
        });
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let (status, message) = refusal(queries.create(&PostParams::default(), &object).await);
        assert_eq!(status, 422, "{spec}: {message}");
        assert!(message.contains(text), "{spec}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_cannot_be_changed_but_its_job_can() {
    let plane = ControlPlane::shared().await.unwrap();
    let (client, namespace) = (plane.client().await.unwrap(), plane.namespace().await.unwrap());
    let queries: Api<ArxivQuery> = Api::namespaced(client, &namespace);
    let spec = ArxivQuerySpec {
        author: Some("knuth".into()),
        max_results: 8,
        sort_by: Some(crd::SortBy::Relevance),
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
        json!({"author": "other"}),
        json!({"author": null, "title": "x"}),
        json!({"title": "added"}),
        json!({"journal": "added"}),
        json!({"sortBy": null}),
        json!({"sortBy": "submittedDate"}),
        json!({"sortOrder": "ascending"}),
        json!({"maxResults": 9}),
        json!({"start": 1}),
    ] {
        let (status, message) = refusal(change(&changed).await);
        assert_eq!(status, 422, "{changed}: {message}");
        assert!(
            message.contains("the search cannot be changed; create a new ArxivQuery"),
            "{changed}: {message}"
        );
    }
    for allowed in [
        json!({"backoffLimit": 1}),
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
async fn an_end_and_a_number_are_final() {
    let plane = ControlPlane::shared().await.unwrap();
    let (client, namespace) = (plane.client().await.unwrap(), plane.namespace().await.unwrap());
    let queries: Api<ArxivQuery> = Api::namespaced(client, &namespace);
    let spec = ArxivQuerySpec {
        author: Some("knuth".into()),
        max_results: 8,
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
