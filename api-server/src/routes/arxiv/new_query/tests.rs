use super::*;
use crate::jobs::submit::fingerprint;
use crate::routes::request::RequestContext;
use crd::CachePolicy;

fn read(body: &Value) -> Result<ArxivQuerySpec, Vec<(String, Value)>> {
    let body = wire::json::parse(body.to_string().as_bytes()).unwrap();
    let context = RequestContext::with_default_settings().unwrap();
    let defaults = Defaults {
        max_priority: 5,
        ..context.defaults
    };
    read_spec(&body, &defaults).map_err(|error| {
        let detail = error.body()["detail"].clone();
        let problems = detail.as_array().unwrap().iter();
        problems
            .map(|p| (p["type"].as_str().unwrap().to_owned(), p["loc"].clone()))
            .collect()
    })
}

#[test]
fn query_is_the_same_in_both_spellings() {
    let ours = json!({"search": {"title": "x", "sort_by": "submittedDate", "author": null}, "max_results": 3,
        "backoff_limit": 0, "priority": null});
    let theirs =
        json!({"backoffLimit": 0, "search": {"sortBy": "SubmittedDate", "title": "x"}, "maxResults": 3});
    let query = read(&ours).unwrap();
    assert_eq!(query, read(&theirs).unwrap());
    assert_eq!((query.max_results, query.backoff_limit), (3, 0));
    assert_eq!(query.search.sort_by, crd::SortBy::SubmittedDate);
    let usual = read(&json!({"search": {"title": "x"}})).unwrap();
    assert_eq!((usual.max_results, usual.start), (8, 0));
    assert_ne!(fingerprint(&usual), fingerprint(&query));
}

#[test]
fn every_field_of_the_spec_can_be_posted() {
    let search = json!({
        "author": "a", "title": "b", "journal": "c", "abstract": "d", "category": "cs.LG", "comment": "e",
        "report_number": "f", "all": "g", "id_list": ["arXiv:2401.01234v2", "hep-th/9901001"],
        "submitted_after": "2024-01-01", "submitted_before": "2024-02-01T00:00:00+02:00",
        "updated_after": "2024-01-01", "sort_by": "LastUpdatedDate", "sort_order": "Descending",
    });
    assert_eq!(search.as_object().unwrap().len(), members(SEARCH_FIELDS).count());
    let body = json!({
        "search": search, "max_results": 30_000, "start": 0, "cache_policy": "Refresh",
        "failure_policy": "FailFast", "priority": 5, "backoff_limit": 0, "active_deadline_seconds": 1,
        "pending_deadline_seconds": 1,
    });
    assert_eq!(body.as_object().unwrap().len(), 1 + members(JOB_FIELDS).count());
    let spec = read(&body).unwrap();
    assert_eq!(spec.search.id_list.as_ref().unwrap().len(), 2);
    assert_eq!((spec.cache_policy, spec.priority), (CachePolicy::Refresh, 5));
    // As the spec spells it, all of it again, but for what a client has no say in.
    let mut spelt = serde_json::to_value(&spec).unwrap();
    spelt.as_object_mut().unwrap().remove("suspend");
    assert_eq!(read(&spelt).unwrap(), spec);
}

#[test]
fn unknown_or_misplaced_member_is_refused() {
    let cases = [
        (
            json!({"search": {"title": "x"}, "autor": "y"}),
            "extra_forbidden",
            json!(["body", "autor"]),
        ),
        (
            json!({"search": {"title": "x", "autor": "y"}}),
            "extra_forbidden",
            json!(["body", "search", "autor"]),
        ),
        (
            json!({"search": {"title": "x"}, "sort_by": "Relevance"}),
            "value_error",
            json!(["body", "sort_by"]),
        ),
        (
            json!({"search": {"title": "x", "maxResults": 1}}),
            "value_error",
            json!(["body", "search", "maxResults"]),
        ),
        (
            json!({"search": {"title": "x"}, "max_results": 1, "maxResults": 1}),
            "value_error",
            json!(["body", "max_results"]),
        ),
        (json!({"max_results": 1}), "missing", json!(["body", "search"])),
        (json!({"search": null}), "value_error", json!(["body", "search"])),
        (json!({"search": {}}), "value_error", json!(["body", "search"])),
        (json!({"search": "x"}), "dict_type", json!(["body", "search"])),
        (json!([]), "dict_type", json!(["body"])),
        (
            json!({"search": {"title": "x"}, "max_results": 0}),
            "greater_than_equal",
            json!(["body", "max_results"]),
        ),
        (
            json!({"search": {"title": "x"}, "maxResults": 30_001}),
            "less_than_equal",
            json!(["body", "maxResults"]),
        ),
        (
            json!({"search": {"title": "x"}, "start": "1"}),
            "int_type",
            json!(["body", "start"]),
        ),
        (
            json!({"search": {"title": "x"}, "start": 1.5}),
            "int_type",
            json!(["body", "start"]),
        ),
    ];
    for (body, kind, loc) in cases {
        assert_eq!(read(&body).unwrap_err(), [(kind.to_owned(), loc)], "{body}");
    }
}

#[test]
fn invalid_search_field_is_refused() {
    let at = |kind: &str, name: &str| vec![(kind.to_owned(), json!(["body", "search", name]))];
    let cases = [
        (json!({"title": ""}), at("string_too_short", "title")),
        (json!({"title": "x".repeat(513)}), at("string_too_long", "title")),
        (json!({"title": " "}), at("value_error", "title")),
        (json!({"title": 5}), at("string_type", "title")),
        (
            json!({"title": "x", "sort_by": "date"}),
            at("literal_error", "sort_by"),
        ),
        (
            json!({"title": "x", "sort_order": 1}),
            at("literal_error", "sort_order"),
        ),
        (
            json!({"id_list": ["2401.01234", "x"], "title": "()"}),
            vec![
                ("value_error".into(), json!(["body", "search", "id_list", 1])),
                ("value_error".into(), json!(["body", "search", "title"])),
            ],
        ),
        (json!({"id_list": []}), at("value_error", "id_list")),
        (
            json!({"title": "x", "submittedAfter": "yesterday"}),
            at("value_error", "submittedAfter"),
        ),
        (
            json!({"title": "x", "submitted_before": "1704067200000"}),
            at("value_error", "submitted_before"),
        ),
        (
            json!({"title": "x", "submitted_after": "2024-01-02", "submitted_before": "2024-01-01"}),
            vec![("value_error".into(), json!(["body", "search"]))],
        ),
    ];
    for (search, problems) in cases {
        assert_eq!(
            read(&json!({ "search": search })).unwrap_err(),
            problems,
            "{search}"
        );
    }
}
