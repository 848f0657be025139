//! How queries end, and the errors that their callers get.

use crd::Reason;
use serde_json::json;
use testbed::test_env::json_body;

use crate::middleware::errors::{Answer, PROBLEM};
use crate::support::{Api, Outcome, header};

#[tokio::test(flavor = "multi_thread")]
async fn failed_search_has_status_and_code_of_its_reason() {
    let api = Api::start(&[("MIN_INTERVAL_MS", "50")]).await;
    let failed = |reason: Reason, status: i32| Outcome::Failed(reason, Some(status));
    let cases = [
        (Outcome::NothingFound, 404, "nothing_found"),
        (failed(Reason::BrokenFeed, 502), 502, "broken_answer"),
        (failed(Reason::ConnectionLost, 503), 503, "upstream_unreachable"),
        (failed(Reason::Throttled, 429), 429, "rate_limited"),
        (failed(Reason::Throttled, 503), 503, "rate_limited"),
        (failed(Reason::SearchRefused, 400), 400, "search_refused"),
        (failed(Reason::UnexpectedStatus, 403), 403, "upstream_error"),
        (failed(Reason::UnexpectedStatus, 500), 500, "upstream_error"),
        (
            Outcome::Failed(Reason::DeadlineExceeded, None),
            504,
            "deadline_exceeded",
        ),
    ];
    for (outcome, status, code) in cases {
        api.operator.set(outcome);
        let request = api.send_with("GET", "/arxiv?title=x", &[("accept", PROBLEM)]);
        let answer = Answer::of(request.await).await;
        answer.is_problem(status, code);
        if code == "rate_limited" {
            answer.names_the_limit_of_arxiv();
        }
        let address = answer.body["instance"].as_str().unwrap();
        assert_eq!(api.get(address).await.status(), 200, "{address}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_search_has_a_code_and_the_limit_of_arxiv() {
    let api = Api::start(&[("MIN_INTERVAL_MS", "50")]).await;
    api.operator.set(Outcome::None);
    let asynchronous = [("prefer", "respond-async")];
    let request = api.send_with("GET", "/arxiv?title=x", &asynchronous);
    let waiting = Answer::of(request.await).await;
    assert_eq!(
        (waiting.status, &waiting.body["code"]),
        (202, &json!("still_waiting"))
    );
    let location = waiting.header("location").unwrap();
    let state = Answer::of(api.get(location).await).await;
    for answer in [&waiting, &state] {
        assert_eq!(answer.status, 202);
        let after = answer.header("retry-after").unwrap();
        let limit = format!("\"arxiv\";r=0;t={after}");
        assert_eq!(answer.header("ratelimit"), Some(&*limit));
    }
    let request = api.send_with("GET", "/arxiv/nope", &[("accept", PROBLEM)]);
    Answer::of(request.await).await.is_problem(404, "not_found");
    assert_eq!(api.send("DELETE", location).await.status(), 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn unavailable_kubernetes_is_one_503_and_reads_go_on() {
    let api = Api::start(&[]).await;
    api.kubernetes.set_available(false);
    let server = crate::support::Server::start(
        &[("SERVE", "arxiv"), ("NAMESPACE", "library")],
        Some(api.kubernetes.client()),
    )
    .await;
    // At the start, and later.
    for server in [&server, &*api] {
        let response = server.get("/arxiv?title=never").await;
        assert_eq!(response.status(), 503);
        assert!(header(&response, "retry-after").is_some());
        let body = json_body(response).await;
        assert_eq!(body.as_object().unwrap().len(), 1);
        let response = server.get("/arxiv/x").await;
        assert_eq!(response.status(), 503);
        assert_eq!(json_body(response).await, body);
    }
    assert_eq!(server.get("/readyz").await.status(), 503);
    assert_eq!(api.get("/results").await.status(), 200);
    api.kubernetes.set_available(true);
    assert_eq!(api.get("/arxiv?title=x").await.status(), 200);
}
