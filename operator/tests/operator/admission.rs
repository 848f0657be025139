//! What Kubernetes itself refuses (CEL and schema), and with which messages.

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

/// Each of these specs is refused, in these words.
async fn refuses(cases: &[(Value, &str)]) {
    let plane = ControlPlane::shared().await.unwrap();
    let (client, namespace) = (plane.client().await.unwrap(), plane.namespace().await.unwrap());
    let queries: Api<DynamicObject> =
        Api::namespaced_with(client, &namespace, &ApiResource::erase::<ArxivQuery>(&()));
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
async fn admission_refuses_invalid_search_parameters() {
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
    refuses(cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn admission_refuses_invalid_search_fields() {
    refuses(&[
        (
            json!({"submittedAfter": "2024-01-01T00:00:00Z"}),
            "at least one search field is needed",
        ),
        (json!({"title": "()+-!"}), "nor have only punctuation in it"),
        (json!({"abstract": "\"\""}), "spec.abstract: Invalid value"),
        (
            json!({"category": "\u{2003}."}),
            "nor have only punctuation in it",
        ),
        (
            json!({"comment": "a\nb"}),
            "must not have control characters in it",
        ),
        (
            json!({"reportNumber": "a\u{85}b"}),
            "must not have control characters in it",
        ),
        (
            json!({"all": "\u{7f}x"}),
            "must not have control characters in it",
        ),
        (json!({"all": "x".repeat(513)}), "spec.all: Too long"),
        (json!({"idList": []}), "should have at least 1 items"),
        (
            json!({"idList": ["2401.01234", "x"]}),
            "must be arXiv identifiers",
        ),
        (
            json!({"idList": ["2401.01234,2401.01235"]}),
            "must be arXiv identifiers",
        ),
        (json!({"idList": ["2413.01234"]}), "must be arXiv identifiers"),
        (
            json!({"idList": ["https://example.org/abs/2401.01234"]}),
            "must be arXiv identifiers",
        ),
        (
            json!({"idList": vec!["2401.01234"; 501]}),
            "must have at most 500 items",
        ),
        (json!({"idList": ["x".repeat(129)]}), "Too long"),
        (
            json!({"title": "x", "submittedAfter": "2024-01-01"}),
            "must be of type date-time",
        ),
        (
            json!({"title": "x", "submittedAfter": "1899-12-31T23:59:59Z"}),
            "must be a date from 1900 to 2199",
        ),
        (
            json!({"title": "x", "submittedBefore": "2200-01-01T00:00:00Z"}),
            "must be a date from 1900 to 2199",
        ),
        (
            json!({"title": "x", "submittedAfter": "2024-01-02T00:00:00Z", "submittedBefore": "2024-01-01T00:00:00Z"}),
            "submittedAfter must be before submittedBefore",
        ),
        (
            // One instant in two ways of writing.
            json!({"title": "x", "submittedAfter": "2024-01-01T02:00:00+02:00", "submittedBefore": "2024-01-01T00:00:00Z"}),
            "submittedAfter must be before submittedBefore",
        ),
        (
            json!({"title": "x", "cachePolicy": "Never"}),
            "Unsupported value: \"Never\"",
        ),
        (
            json!({"title": "x", "priority": 1_001}),
            "should be less than or equal to 1000",
        ),
        (
            json!({"title": "x", "priority": -1_001}),
            "should be greater than or equal to -1000",
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn admission_accepts_and_keeps_every_field() {
    let plane = ControlPlane::shared().await.unwrap();
    let (client, namespace) = (plane.client().await.unwrap(), plane.namespace().await.unwrap());
    let queries: Api<DynamicObject> =
        Api::namespaced_with(client, &namespace, &ApiResource::erase::<ArxivQuery>(&()));
    let identifiers = [
        "2401.01234",
        " 2401.01234v2\n",
        "0704.0001",
        "hep-th/9901001v3",
        "HEP-TH/9901001",
        "math.GT/0309136",
        "arXiv:2401.01234",
        "arxiv: 2401.01234",
        "https://arxiv.org/abs/2401.01234v2",
        "http://www.arxiv.org/pdf/2401.01234v2.pdf",
        "export.arxiv.org/abs/2401.01234?context=cs",
        "https://arxiv.org/html/2401.01234v1#S3",
        "https://doi.org/10.48550/arXiv.2401.01234",
        "doi:10.48550/arXiv.2401.01234",
    ];
    let cases = [
        json!({"author": "k"}),
        json!({"title": "C++"}),
        json!({"journal": "Árvíz"}),
        json!({"abstract": "\u{5f62}\u{5f0f}"}),
        json!({"category": "cs.* OR math.GT"}),
        json!({"comment": "12 pages"}),
        json!({"reportNumber": "CERN-TH/95"}),
        json!({"all": "\"deep learning\" ANDNOT (vision OR \u{1f600})"}),
        json!({"idList": identifiers}),
        json!({"idList": vec!["https://export.arxiv.org/abs/hep-th/9901001v3"; 500]}),
        json!({"title": "x", "submittedAfter": "2024-01-01T00:00:00.5+02:00", "submittedBefore": "2024-01-02T00:00:00Z"}),
        json!({"title": "x", "cachePolicy": "Refresh", "suspend": true, "priority": -1_000}),
    ];
    for (index, spec) in cases.into_iter().enumerate() {
        let object = json!({
            "apiVersion": "arxiv-operator.dev/v1alpha1", "kind": "ArxivQuery",
            "metadata": {"name": format!("good{index}")}, "spec": spec,
        });
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let created = queries
            .create(&PostParams::default(), &object)
            .await
            .unwrap_or_else(|error| panic!("{spec}: {error}"));
        // What Kubernetes took, this project can read, and writes out as it was.
        let kept: ArxivQuerySpec = serde_json::from_value(created.data["spec"].clone()).unwrap();
        let kept = serde_json::to_value(kept).unwrap();
        for (field, value) in spec.as_object().unwrap() {
            assert_eq!(&kept[field], value, "{field}");
        }
        assert_eq!(kept["maxResults"], 8, "{spec}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn search_is_immutable_and_job_fields_can_change() {
    let plane = ControlPlane::shared().await.unwrap();
    let (client, namespace) = (plane.client().await.unwrap(), plane.namespace().await.unwrap());
    let queries: Api<ArxivQuery> = Api::namespaced(client, &namespace);
    let spec = ArxivQuerySpec {
        author: Some("knuth".into()),
        id_list: Some(vec!["2401.01234".into()]),
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
        json!({"abstract": "added"}),
        json!({"category": "cs.LG"}),
        json!({"comment": "added"}),
        json!({"reportNumber": "added"}),
        json!({"all": "added"}),
        json!({"idList": null}),
        json!({"idList": ["2401.01235"]}),
        json!({"submittedAfter": "2024-01-01T00:00:00Z"}),
        json!({"submittedBefore": "2024-01-01T00:00:00Z"}),
        json!({"cachePolicy": "Refresh"}),
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
        json!({"suspend": true}),
        json!({"suspend": false}),
        json!({"priority": 1_000}),
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
async fn final_phase_and_query_id_cannot_change() {
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
