//! Values of the search and of the job fields.

use crd::{ArxivQuery, ArxivQuerySpec};
use kube::{
    Api,
    api::{DynamicObject, PostParams},
    core::ApiResource,
};
use serde_json::{Value, json};
use testbed::ControlPlane;

use super::refuses;

#[tokio::test(flavor = "multi_thread")]
async fn admission_refuses_invalid_search_parameters() {
    let long = "x".repeat(513);
    let cases: &[(Value, &str)] = &[
        (json!({}), "spec.search: Required value"),
        (json!({"author": "knuth"}), "spec.search: Required value"),
        (json!({"search": {}}), "at least one search field is needed"),
        (
            json!({"search": {}, "maxResults": 8}),
            "at least one search field is needed",
        ),
        (
            json!({"search": {"title": null}}),
            "at least one search field is needed",
        ),
        (json!({"search": {"title": ""}}), "must not be blank"),
        (
            json!({"search": {"title": "  "}}),
            "spec.search.title: Invalid value: \"  \": must not be blank",
        ),
        (
            json!({"search": {"author": "\u{3000}\u{a0}"}}),
            "must not be blank",
        ),
        (
            json!({"search": {"journal": long}}),
            "spec.search.journal: Too long",
        ),
        (
            json!({"search": {"title": "x"}, "maxResults": 0}),
            "should be greater than or equal to 1",
        ),
        (
            json!({"search": {"title": "x"}, "maxResults": 30_001}),
            "should be less than or equal to 30000",
        ),
        (
            json!({"search": {"title": "x"}, "start": -1}),
            "should be greater than or equal to 0",
        ),
        (
            json!({"search": {"title": "x", "sortBy": "date"}}),
            "Unsupported value: \"date\"",
        ),
        (json!({"search": {"title": 5}}), "must be of type string"),
        (
            json!({"search": {"title": "x"}, "backoffLimit": -1}),
            "should be greater than or equal to 0",
        ),
        (
            json!({"search": {"title": "x"}, "pendingDeadlineSeconds": 0}),
            "should be greater than or equal to 1",
        ),
        (
            json!({"search": {"title": "x"}, "activeDeadlineSeconds": 0}),
            "should be greater than or equal to 1",
        ),
        (
            json!({"search": {"title": "x"}, "ttlSecondsAfterFinished": -1}),
            "should be greater than or equal to 0",
        ),
    ];
    refuses(cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn admission_refuses_invalid_search_fields() {
    refuses(&[
        (
            json!({"search": {"submittedAfter": "2024-01-01T00:00:00Z"}}),
            "at least one search field is needed",
        ),
        (
            json!({"search": {"title": "()+-!"}}),
            "nor have only punctuation in it",
        ),
        (
            json!({"search": {"abstract": "\"\""}}),
            "spec.search.abstract: Invalid value",
        ),
        (
            json!({"search": {"category": "\u{2003}."}}),
            "nor have only punctuation in it",
        ),
        (
            json!({"search": {"comment": "a\nb"}}),
            "must not have control characters in it",
        ),
        (
            json!({"search": {"reportNumber": "a\u{85}b"}}),
            "must not have control characters in it",
        ),
        (
            json!({"search": {"all": "\u{7f}x"}}),
            "must not have control characters in it",
        ),
        (
            json!({"search": {"all": "x".repeat(513)}}),
            "spec.search.all: Too long",
        ),
        (json!({"search": {"idList": []}}), "should have at least 1 items"),
        (
            json!({"search": {"idList": ["2401.01234", "x"]}}),
            "must be arXiv identifiers",
        ),
        (
            json!({"search": {"idList": ["2401.01234,2401.01235"]}}),
            "must be arXiv identifiers",
        ),
        (
            json!({"search": {"idList": ["2413.01234"]}}),
            "must be arXiv identifiers",
        ),
        (
            json!({"search": {"idList": ["https://example.org/abs/2401.01234"]}}),
            "must be arXiv identifiers",
        ),
        (
            json!({"search": {"idList": ["2401.01234 [cs.LG"]}}),
            "must be arXiv identifiers",
        ),
        (
            json!({"search": {"idList": ["2401.\u{200b}01234"]}}),
            "must be arXiv identifiers",
        ),
        (
            json!({"search": {"idList": vec!["2401.01234"; 501]}}),
            "must have at most 500 items",
        ),
        (json!({"search": {"idList": ["x".repeat(129)]}}), "Too long"),
        (
            json!({"search": {"title": "x"}, "cachePolicy": "Never"}),
            "Unsupported value: \"Never\"",
        ),
        (
            json!({"search": {"title": "x"}, "priority": 1_001}),
            "should be less than or equal to 1000",
        ),
        (
            json!({"search": {"title": "x"}, "priority": -1_001}),
            "should be greater than or equal to -1000",
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn admission_refuses_what_is_no_date() {
    refuses(&[
        (
            json!({"search": {"title": "x", "submittedAfter": "2024-01-01T00:00:00"}}),
            "must be a date, as 2024-01-31, or a date and time of RFC 3339",
        ),
        (
            json!({"search": {"title": "x", "submittedBefore": "1706659200000"}}),
            "must be a date, as 2024-01-31, or a date and time of RFC 3339",
        ),
        (
            json!({"search": {"title": "x", "submittedAfter": "2024-13-01"}}),
            "must be a date, as 2024-01-31",
        ),
        (
            json!({"search": {"title": "x", "submittedAfter": "2023-02-29"}}),
            "must be a day that exists",
        ),
        (
            json!({"search": {"title": "x", "submittedAfter": "2100-02-29T00:00:00Z"}}),
            "must be a day that exists",
        ),
        (
            json!({"search": {"title": "x", "submittedAfter": "2024-04-31"}}),
            "must be a day that exists",
        ),
        (
            json!({"search": {"title": "x", "submittedAfter": "2024-01-02", "submittedBefore": "2024-01-01"}}),
            "submittedAfter must be before submittedBefore",
        ),
        (
            json!({"search": {"title": "x", "updatedAfter": "2024-01-01", "sortBy": "SubmittedDate"}}),
            "updatedAfter needs sortBy: LastUpdatedDate and sortOrder: Descending",
        ),
        (
            json!({"search": {"title": "x", "updatedAfter": "last week", "sortBy": "LastUpdatedDate"}}),
            "must be a date, as 2024-01-31",
        ),
        (
            json!({"search": {"title": "x", "submittedAfter": "1899-12-31T23:59:59Z"}}),
            "must be a date from 1900 to 2199",
        ),
        (
            json!({"search": {"title": "x", "submittedBefore": "2200-01-01T00:00:00Z"}}),
            "must be a date from 1900 to 2199",
        ),
        (
            json!({"search": {"title": "x", "submittedAfter": "2024-01-02T00:00:00Z", "submittedBefore": "2024-01-01T00:00:00Z"}}),
            "submittedAfter must be before submittedBefore",
        ),
        (
            // One instant in two ways of writing.
            json!({"search": {"title": "x", "submittedAfter": "2024-01-01T02:00:00+02:00", "submittedBefore": "2024-01-01T00:00:00Z"}}),
            "submittedAfter must be before submittedBefore",
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
        "https://www.doi.org/10.48550/arXiv.2401.01234",
        "10.48550/arXiv.2401.01234",
        "arXiv:2401.01234v2 [cs.LG]",
        "arXiv:2401.01234v2 [cs.LG] 5 Jan 2024",
        "hep-th/9901001 [hep-th]",
        "arXiv 2401.01234",
        "oai:arXiv.org:2401.01234",
        "http://xxx.lanl.gov/abs/hep-th/9901001",
        "https://de.arxiv.org/e-print/2401.01234/",
        "https://ar5iv.org/html/2401.01234",
        "www.alphaxiv.org/abs/2401.01234v1",
        "arXiv preprint arXiv:2401.01234",
        "arXiv.2401.01234",
        "[arXiv:hep-th/9711200 [hep-th]].",
        "“2401.01234”,",
        "<https://arxiv.org/abs/2401.01234>",
        "'2401.01234'",
        "\u{feff}2401.01234\u{200b}\u{a0}",
    ];
    let cases = [
        json!({"search": {"author": "k"}}),
        json!({"search": {"title": "C++"}}),
        json!({"search": {"journal": "Árvíz"}}),
        json!({"search": {"abstract": "\u{5f62}\u{5f0f}"}}),
        json!({"search": {"category": "cs.* OR math.GT"}}),
        json!({"search": {"comment": "12 pages"}}),
        json!({"search": {"reportNumber": "CERN-TH/95"}}),
        json!({"search": {"all": "\"deep learning\" ANDNOT (vision OR \u{1f600})"}}),
        json!({"search": {"idList": identifiers}}),
        json!({"search": {"idList": vec!["https://export.arxiv.org/abs/hep-th/9901001v3"; 500]}}),
        json!({"search": {"title": "x", "submittedAfter": "2024-01-01T00:00:00.5+02:00", "submittedBefore": "2024-01-02T00:00:00Z"}}),
        json!({"search": {"title": "x", "submittedAfter": "2024-02-29", "submittedBefore": "2024-02-29"}}),
        json!({"search": {"title": "x", "submittedAfter": "2000-02-29t12:30:00z", "submittedBefore": "2024-01-31 12:30:60.000-00:00"}}),
        json!({"search": {"title": "x", "sortBy": "LastUpdatedDate", "sortOrder": "Ascending"}}),
        json!({"search": {"title": "x", "updatedAfter": "2024-01-31", "sortBy": "LastUpdatedDate"}}),
        json!({"search": {"title": "x"}, "cachePolicy": "Refresh", "suspend": true, "priority": -1_000,
            "failurePolicy": "FailFast", "backoffLimit": 0}),
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
        for (field, value) in spec["search"].as_object().unwrap() {
            assert_eq!(&kept["search"][field], value, "{field}");
        }
        for (field, value) in spec.as_object().unwrap() {
            assert!(field == "search" || kept[field] == *value, "{field}: {kept}");
        }
        assert_eq!(kept["maxResults"], 8, "{spec}");
        let defaults = json!({"author": "k", "sortBy": "Relevance", "sortOrder": "Descending"});
        assert!(index > 0 || kept["search"] == defaults, "{kept}");
    }
}
