//! GET /arxiv-api: a search's papers, from arXiv or from what was fetched before.

use serde_json::json;
use testbed::arxiv::{Behaviour, Mode};
use testbed::test_env::{error_of, json_body};

use crate::arxiv::parameters_are_checked;
use crate::hostile::TYPED;
use crate::middleware::errors::{Answer, PROBLEM};
use crate::support::{Api, header};

#[tokio::test(flavor = "multi_thread")]
async fn papers_older_than_the_limit_are_left_out() {
    let api = Api::start(&[]).await;
    let path = "/arxiv-api?title=updated&max_results=100&sort_by=LastUpdatedDate";
    // The newest paper of the stand-in is of 10:00, and there is one each minute.
    let limited = format!("{path}&updated_after=2024-05-02T09:30:00Z");
    for (path, entries) in [(path, 100), (&limited, 31)] {
        let found = json_body(api.get(path).await).await;
        assert_eq!(
            (&found["num_results"], &found["num_entries"]),
            (&json!(1234), &json!(entries)),
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn words_of_a_search_stay_in_their_field() {
    let api = Api::start(&[]).await;
    for (query, part) in TYPED {
        api.arxiv.clear_record();
        // The second time it is not fetched again.
        for _ in 0..2 {
            let found = json_body(api.get(&format!("/arxiv-api?{query}&max_results=2")).await).await;
            assert_eq!(found["num_entries"], 2, "{query}: {found}");
            assert!(found["timestamp"].is_i64());
        }
        let requests = api.arxiv.requests();
        assert_eq!(requests.len(), 1, "{query}");
        let asked = &requests[0].search_query;
        assert!(
            asked.contains(part) && !asked.contains("au:evil"),
            "{query}: {asked}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn search_with_more_papers_than_one_answer_of_arxiv_is_put_together() {
    let api = Api::start(&[]).await;
    api.arxiv.set(Behaviour {
        total: Some(4500),
        ..Behaviour::default()
    });
    let found = json_body(api.get("/arxiv-api?title=long&max_results=30000").await).await;
    assert_eq!(
        (&found["num_results"], &found["num_entries"]),
        (&json!(4500), &json!(4500))
    );
    assert_eq!(found["data"].as_array().unwrap().len(), 4500);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_parameters_are_refused_and_arxiv_is_not_asked() {
    let api = Api::start(&[]).await;
    parameters_are_checked(&api, "/arxiv-api").await;
    assert!(api.arxiv.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_of_arxiv_has_its_status_and_no_internals() {
    let api = Api::start(&[("ARXIV_TIMEOUT_MS", "6000")]).await;
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
        (Mode::ErrorFeed(200), 400),
        (Mode::InternalErrorFeed, 502),
        (Mode::ErrorFeed(400), 400),
        (Mode::RateExceeded(200), 429),
        (Mode::RedirectLoop, 502),
        (Mode::RedirectElsewhere, 502),
        (Mode::Status(418), 502),
    ]);
    for (number, (mode, expected)) in cases.into_iter().enumerate() {
        api.forget_pages().await;
        api.arxiv.set(mode);
        let path = format!("/arxiv-api?title=f{number}&max_results=3");
        let response = api.get(&path).await;
        let retry = header(&response, "retry-after").is_some();
        let (status, detail) = error_of(response).await;
        assert_eq!(status, expected, "{mode}: {detail}");
        assert_eq!(retry, matches!(expected, 429 | 503), "{mode}");
        let text = detail.as_str().unwrap();
        assert!(
            !text.contains("127.0.0.1") && !text.contains("localhost"),
            "{text}"
        );
    }
    api.arxiv.set(Mode::Redirect);
    api.forget_pages().await;
    let moved = api.get("/arxiv-api?title=moved&max_results=3").await;
    assert_eq!(moved.status(), 200);
    api.arxiv.set(Mode::Zero);
    let (status, detail) = error_of(api.get("/arxiv-api?title=nothing").await).await;
    assert!(
        status == 404 && detail.as_str().unwrap().starts_with("No results found"),
        "{detail}"
    );
    // It records nothing.
    assert_eq!(api.count("public.queries").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_of_arxiv_has_a_code() {
    let api = Api::start(&[("MIN_INTERVAL_MS", "50")]).await;
    let ends = [
        ("zero", 404, "nothing_found"),
        ("malformed", 502, "broken_answer"),
        ("html", 502, "broken_answer"),
        ("close", 503, "upstream_unreachable"),
        ("429", 429, "rate_limited"),
        ("503", 503, "rate_limited"),
        ("400", 400, "search_refused"),
        ("403", 403, "upstream_error"),
        ("500", 500, "upstream_error"),
    ];
    for (mode, status, code) in ends {
        api.arxiv.set(mode.parse::<Mode>().unwrap());
        api.forget_pages().await;
        let request = api.send_with("GET", "/arxiv-api?title=x", &[("accept", PROBLEM)]);
        let answer = Answer::of(request.await).await;
        answer.is_problem(status, code);
        if code == "rate_limited" {
            answer.names_the_limit_of_arxiv();
        }
        assert!(answer.body.get("instance").is_none(), "{}", answer.body);
    }
}
