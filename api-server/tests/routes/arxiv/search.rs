//! GET /arxiv: a search, whose result is waited for.

use crd::{FailurePolicy, Reason};
use futures::future::join_all;
use http::Method;
use serde_json::Value;
use testbed::test_env::{error_of, eventually, json_body, problems};

use super::{accepted, finished};
use crate::support::{Api, Outcome, header};

#[tokio::test(flavor = "multi_thread")]
async fn search_that_ends_within_its_wait_is_answered_with_its_counts() {
    let api = Api::start(&[]).await;
    let response = api.get("/arxiv?title=a&max_results=3").await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "cache-control"), Some("no-store"));
    let answer = json_body(response).await;
    assert_eq!(answer["num_entries"], 3, "{answer}");
    assert!(answer["timestamp"].is_i64(), "{answer}");

    // Its object fails on the first error.
    let all = api.objects();
    let [object] = all.as_slice() else {
        panic!("{} objects", all.len())
    };
    assert_eq!(object.spec.backoff_limit, 0);
    assert_eq!(object.spec.failure_policy, FailurePolicy::FailFast);
    assert_eq!(object.spec.ttl_seconds_after_finished, Some(4 * 3600));
}

#[tokio::test(flavor = "multi_thread")]
async fn search_that_takes_longer_than_its_wait_is_accepted_and_goes_on() {
    let api = Api::start(&[]).await;
    api.operator.set(Outcome::None);
    let wait = [("prefer", "wait=1")];
    let response = api
        .send_with("GET", "/arxiv?title=slow&max_results=1", &wait)
        .await;
    assert_eq!(header(&response, "preference-applied"), Some("wait=1"));
    let location = accepted(response).await;
    assert_eq!(api.get(&format!("{location}/results")).await.status(), 202);
    api.operator.set(Outcome::Found);
    assert_eq!(finished(&api, &location).await["phase"], "Succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn asynchronous_search_is_accepted_at_once_and_retried_as_usual() {
    let api = Api::start(&[]).await;
    api.operator.set(Outcome::None);
    let asynchronous = [("prefer", "respond-async")];
    let response = api.send_with("GET", "/arxiv?title=async", &asynchronous).await;
    assert_eq!(header(&response, "preference-applied"), Some("respond-async"));
    let location = accepted(response).await;
    let object = api.objects().remove(0);
    assert!(location.ends_with(object.metadata.name.as_deref().unwrap()));
    assert_eq!(object.spec.backoff_limit, 6);
    assert_eq!(object.spec.failure_policy, FailurePolicy::Retry);
}

#[tokio::test(flavor = "multi_thread")]
async fn search_that_fails_is_answered_with_its_error_and_keeps_its_state() {
    let api = Api::start(&[]).await;
    api.operator
        .set(Outcome::Failed(Reason::UnexpectedStatus, Some(500)));
    assert_eq!(api.get("/arxiv?title=broken").await.status(), 500);
    let location = format!("/arxiv/{}", api.name_of("broken"));
    let state = finished(&api, &location).await;
    assert_eq!(
        (&state["phase"], &state["status"]),
        (&Value::from("Failed"), &Value::from(500))
    );
    assert!(!state["message"].as_str().unwrap().is_empty());
    assert_eq!(api.get(&format!("{location}/results")).await.status(), 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn search_whose_query_is_removed_is_answered_with_410() {
    let api = Api::start(&[]).await;
    api.operator.set(Outcome::None);
    let removal = async {
        let name = eventually("the object is created", async || {
            api.objects().first()?.metadata.name.clone()
        });
        let path = format!("/arxiv/{}", name.await);
        assert_eq!(api.send("DELETE", &path).await.status(), 204);
    };
    let (response, ()) = tokio::join!(api.get("/arxiv?title=x"), removal);
    assert_eq!(response.status(), 410);
}

#[tokio::test(flavor = "multi_thread")]
async fn search_in_progress_is_accepted_when_the_process_ends() {
    let api = Api::start(&[]).await;
    api.operator.set(Outcome::None);
    let end = async {
        let created = eventually("the object is created", async || api.objects().pop());
        created.await;
        api.ending.cancel();
    };
    let (response, ()) = tokio::join!(api.get("/arxiv?title=x"), end);
    let location = accepted(response).await;
    api.operator.set(Outcome::Found);
    let another = api.another().await;
    assert_eq!(finished(&another, &location).await["phase"], "Succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_at_the_same_time_share_one_watch() {
    let api = Api::start(&[("ARXIV_MAX_PENDING_PER_CLIENT", "200")]).await;
    let watches = |api: &Api| {
        let requests = api.kubernetes.requests();
        let lists = requests
            .iter()
            .filter(|(method, path)| *method == Method::GET && path.ends_with("/arxivqueries"));
        lists.count()
    };
    let before = watches(&api);
    assert_eq!(
        before, 3,
        "one list, one look whether it went back in time, and one watch"
    );
    let paths: Vec<_> = (0..120)
        .map(|n| format!("/arxiv?title=w{}&max_results=1", n % 40))
        .collect();
    for response in join_all(paths.iter().map(|path| api.get(path))).await {
        assert_eq!(response.status(), 200);
    }
    assert_eq!(watches(&api), before);
    assert_eq!(api.count("public.queries").await, 120);
    let metrics = api.get("/metrics").await.text().await.unwrap();
    for line in [
        "arxiv_api_server_waiters 0",
        "arxiv_api_server_kubernetes_requests_in_flight 0",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn search_with_wrong_parameters_is_refused_and_creates_nothing() {
    let api = Api::start(&[]).await;
    parameters_are_checked(&api, "/arxiv").await;
    assert!(api.objects().is_empty());
    let accents = "%C3%A9".repeat(512);
    let path = format!("/arxiv?title={accents}&max_results=1");
    assert_eq!(api.get(&path).await.status(), 200);
}

/// What /arxiv and /arxiv-api refuse.
pub(crate) async fn parameters_are_checked(api: &Api, endpoint: &str) {
    let (status, detail) = error_of(api.get(&format!("{endpoint}?max_results=3&foo=bar")).await).await;
    assert_eq!(
        (status, detail),
        (400, "At least one search parameter must be provided".into())
    );
    let long = format!("journal={}", "x".repeat(513));
    let cases = [
        ("author=&title=x", "string_too_short", "author"),
        ("author", "string_too_short", "author"),
        (&*long, "string_too_long", "journal"),
        ("title=%20%09", "value_error", "title"),
        ("title=%E3%80%80", "value_error", "title"),
        ("title=a%00b", "value_error", "title"),
        ("title=a%0db", "value_error", "title"),
        ("title=%ff", "string_unicode", "title"),
        ("title=x&max_results=30001", "less_than_equal", "max_results"),
        ("title=x&max_results=1e2", "int_parsing", "max_results"),
        ("title=x&max_results=null", "int_parsing", "max_results"),
        (
            "title=x&max_results=5&max_results=0",
            "greater_than_equal",
            "max_results",
        ),
    ];
    for (query, kind, field) in cases {
        let (status, detail) = error_of(api.get(&format!("{endpoint}?{query}")).await).await;
        assert_eq!(status, 422, "{endpoint} {query}");
        let expected = (kind.to_owned(), format!(r#"["query","{field}"]"#));
        assert_eq!(problems(&detail), [expected], "{endpoint} {query}");
    }
}
