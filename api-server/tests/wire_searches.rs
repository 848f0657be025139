//! The rules of searches and of arXiv's failures that no recorded exchange covers, against the running system.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use reqwest::header;
use serde_json::json;
use testbed::TestEnv;
use testbed::arxiv::{Behaviour, Mode};
use testbed::test_env::{error_of, json_body, problems};

#[tokio::test(flavor = "multi_thread")]
async fn searches_and_their_failures() {
    let env = TestEnv::for_api(&[("ARXIV_TIMEOUT_MS", "6000")]).await;
    searches(&env).await;
    failures_of_arxiv(&env).await;
    calls_are_logged(&env).await;
}

async fn searches(env: &TestEnv) {
    let arxiv = env.stack.arxiv().unwrap();
    // What is typed stays in its field, on both endpoints; what was fetched is not asked for again.
    let typed = [
        ("title=deep+OR+learning", "(ti:deep OR ti:learning)"),
        ("title=%22deep+learning%22", "ti:\"deep learning\""),
        ("title=x+OR+au%3Aevil", "ti:evil"),
        ("author=a&title=b&journal=c", "au:a AND ti:b AND jr:c"),
        ("title=(a+OR+b)+ANDNOT+c", "ANDNOT"),
    ];
    for (query, part) in typed {
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

    // More than one answer of arXiv holds is put together.
    env.forget_pages().await;
    let total = Behaviour {
        total: Some(4500),
        ..Behaviour::default()
    };
    arxiv.set(total);
    let found = json_body(env.get("/arxiv-api?title=long&max_results=30000").await).await;
    assert_eq!(
        (&found["num_results"], &found["num_entries"]),
        (&json!(4500), &json!(4500))
    );
    assert_eq!(found["data"].as_array().unwrap().len(), 4500);
    arxiv.set(Mode::Ok);

    // On both endpoints the same is wrong.
    arxiv.clear_record();
    for endpoint in ["/arxiv", "/arxiv-api"] {
        let (status, detail) = error_of(env.get(&format!("{endpoint}?max_results=3&foo=bar")).await).await;
        assert_eq!(
            (status, detail),
            (400, json!("At least one search parameter must be provided"))
        );
        let long = "x".repeat(513);
        let cases = [
            ("author=&title=x", "string_too_short", "author"),
            ("author", "string_too_short", "author"),
            (&*format!("journal={long}"), "string_too_long", "journal"),
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
            let (status, detail) = error_of(env.get(&format!("{endpoint}?{query}")).await).await;
            assert_eq!(status, 422, "{endpoint} {query}");
            let place = json!(["query", field]).to_string();
            assert_eq!(
                problems(&detail),
                [(kind.to_owned(), place)],
                "{endpoint} {query}"
            );
        }
    }
    assert!(arxiv.requests().is_empty());
    let accents = "%C3%A9".repeat(512);
    assert_eq!(
        env.get(&format!("/arxiv?title={accents}&max_results=1"))
            .await
            .status(),
        200
    );
}

async fn failures_of_arxiv(env: &TestEnv) {
    let arxiv = env.stack.arxiv().unwrap();
    let before = env.count("public.queries").await;
    let mut cases: Vec<(Mode, u16)> = [400, 403, 404, 429, 500, 503]
        .map(|code| (Mode::Status(code), code))
        .to_vec();
    cases.extend([
        (Mode::Close, 503),
        (Mode::Slow, 503),
        (Mode::Malformed, 502),
        (Mode::Truncated, 502),
        (Mode::Html, 502),
        (Mode::Empty, 502),
        (Mode::BadTotal, 502),
        (Mode::Doctype, 502),
        (Mode::WrongType, 502),
        (Mode::ErrorFeed(200), 502),
        (Mode::ErrorFeed(400), 400),
        (Mode::RateExceeded(200), 429),
        (Mode::RedirectLoop, 502),
        (Mode::RedirectElsewhere, 502),
        (Mode::Status(418), 502),
    ]);
    for (number, (mode, expected)) in cases.into_iter().enumerate() {
        for endpoint in ["/arxiv-api", "/arxiv"] {
            env.forget_pages().await;
            arxiv.set(mode);
            let response = env
                .get(&format!("{endpoint}?title=f{number}&max_results=3"))
                .await;
            let retry = response.headers().contains_key(header::RETRY_AFTER);
            let (status, detail) = error_of(response).await;
            assert_eq!(status, expected, "{endpoint} {mode}: {detail}");
            assert_eq!(retry, matches!(expected, 429 | 503), "{endpoint} {mode}");
            let text = detail.as_str().unwrap();
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

    // Finding nothing is no failure: recorded, and 404 on both.
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
    arxiv.set(Mode::Ok);
}

async fn calls_are_logged(env: &TestEnv) {
    env.forget_pages().await;
    let request = env
        .http
        .get(env.url("/arxiv?title=Buda%22pest&max_results=1"))
        .header("x-request-id", "log-1");
    assert_eq!(request.send().await.unwrap().status(), 200);
    let log = env.api_server_log();
    let line = log
        .lines()
        .find(|line| line.contains("request_id=log-1") && line.contains("NOTICE"))
        .unwrap();
    let call =
        r#" NOTICE frontend - arxiv.search - search(author=None, title="Buda\"pest", max_results=1): called"#;
    assert!(line.contains(call), "{line}");
    for secret in ["postgresql://", "Bearer", "password"] {
        assert!(!log.contains(secret), "the log tells {secret}");
    }
}
