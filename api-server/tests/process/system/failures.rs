//! Searches and arXiv's failures that no recorded exchange covers.

use reqwest::header;
use serde_json::json;
use testbed::TestEnv;
use testbed::arxiv::Mode;
use testbed::test_env::{error_of, json_body};

use crate::hostile::TYPED;

const PROBLEM: &str = "application/problem+json";

/// On both endpoints; what one has fetched, the other does not ask for again.
pub(super) async fn searches(env: &TestEnv) {
    let arxiv = env.stack.arxiv().unwrap();
    for (query, part) in TYPED {
        env.forget_pages().await;
        arxiv.clear_record();
        let found = json_body(env.get(&format!("/arxiv-api?{query}&max_results=2")).await).await;
        assert_eq!(found["num_entries"], 2, "{query}: {found}");
        let answer = json_body(env.get(&format!("/arxiv?{query}&max_results=2")).await).await;
        assert_eq!(answer["num_entries"], 2, "{query}: {answer}");
        assert!(answer["timestamp"].is_i64() && found["timestamp"].is_i64());
        let requests = arxiv.requests();
        assert_eq!(requests.len(), 1, "{query}");
        let asked = &requests[0].search_query;
        assert!(
            asked.contains(part) && !asked.contains("au:evil"),
            "{query}: {asked}"
        );
    }
}

/// Failures are not recorded; an empty answer is.
pub(super) async fn failures_of_arxiv(env: &TestEnv) {
    let arxiv = env.stack.arxiv().unwrap();
    let before = env.count("public.queries").await;
    let cases = [
        (Mode::Status(400), 400, Some("search_refused")),
        (Mode::Status(403), 403, Some("upstream_error")),
        (Mode::Status(404), 404, None),
        (Mode::Status(429), 429, Some("rate_limited")),
        (Mode::Status(500), 500, Some("upstream_error")),
        (Mode::Status(503), 503, Some("rate_limited")),
        (Mode::Close, 503, Some("upstream_unreachable")),
        (Mode::Slow, 503, None),
        (Mode::Malformed, 502, Some("broken_answer")),
        (Mode::Truncated, 502, None),
        (Mode::Html, 502, Some("broken_answer")),
        (Mode::Empty, 502, None),
        (Mode::BadTotal, 502, None),
        (Mode::Doctype, 502, None),
        (Mode::WrongType, 502, None),
        (Mode::ErrorFeed(200), 400, None),
        (Mode::InternalErrorFeed, 502, None),
        (Mode::ErrorFeed(400), 400, None),
        (Mode::RateExceeded(200), 429, None),
        (Mode::RedirectLoop, 502, None),
        (Mode::RedirectElsewhere, 502, None),
        (Mode::Status(418), 502, None),
    ];
    for (number, (mode, expected, code)) in cases.into_iter().enumerate() {
        for endpoint in ["/arxiv-api", "/arxiv"] {
            env.forget_pages().await;
            arxiv.set(mode);
            let path = format!("{endpoint}?title=f{number}&max_results=3");
            let request = env.http.get(env.url(&path));
            let response = request.header(header::ACCEPT, PROBLEM).send().await.unwrap();
            let retry = response.headers().contains_key(header::RETRY_AFTER);
            let status = response.status().as_u16();
            let body = json_body(response).await;
            assert_eq!(status, expected, "{endpoint} {mode}: {body}");
            assert!(
                code.is_none_or(|code| body["code"] == code),
                "{endpoint} {mode}: {body}"
            );
            assert_eq!(retry, matches!(expected, 429 | 503), "{endpoint} {mode}");
            let text = body["detail"].as_str().unwrap();
            assert!(
                !text.contains("127.0.0.1") && !text.contains("localhost"),
                "{text}"
            );
        }
    }
    arxiv.set(Mode::Redirect);
    for endpoint in ["/arxiv-api", "/arxiv"] {
        env.forget_pages().await;
        assert_eq!(
            env.get(&format!("{endpoint}?title=moved&max_results=3"))
                .await
                .status(),
            200,
            "{endpoint}"
        );
    }
    // Nothing of what failed was recorded, then or by now.
    assert_eq!(env.count("public.queries").await, before + 1);

    // An empty answer is no failure: recorded, and 404 on both.
    arxiv.set(Mode::Zero);
    env.forget_pages().await;
    for endpoint in ["/arxiv-api", "/arxiv"] {
        let (status, detail) = error_of(env.get(&format!("{endpoint}?title=nothing")).await).await;
        assert!(
            status == 404 && detail.as_str().unwrap().starts_with("No results found"),
            "{endpoint}: {detail}"
        );
    }
    assert_eq!(env.count("public.queries").await, before + 2);
}

/// The client's own deadline, while there is no connection to arXiv.
pub(super) async fn exceeded_deadline(env: &TestEnv) {
    env.stack.arxiv().unwrap().set(Mode::Close);
    let request = env.http.post(env.url("/arxiv")).header(header::ACCEPT, PROBLEM);
    let query = json!({"search": {"title": "x"}, "activeDeadlineSeconds": 1});
    let response = request.json(&query).send().await.unwrap();
    assert_eq!(response.status(), 504);
    assert_eq!(json_body(response).await["code"], "deadline_exceeded");
}
