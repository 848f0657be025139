//! /arxiv/NAME: the state of one query, and its removal.

use std::time::Instant;

use serde_json::Value;
use testbed::test_env::json_body;

use super::{accepted, finished};
use crate::support::{Api, Events, Outcome, header};

#[tokio::test(flavor = "multi_thread")]
async fn finished_query_has_its_counts_number_and_times() {
    let api = Api::start(&[]).await;
    let search = "/arxiv?title=a&max_results=3";
    assert_eq!(api.get(search).await.status(), 200);
    let name = api.name_of("a");
    let state = finished(&api, &format!("/arxiv/{name}")).await;
    assert_eq!(state["name"], name.as_str());
    assert_eq!(
        (&state["phase"], &state["status"]),
        (&Value::from("Succeeded"), &Value::from(200))
    );
    assert_eq!(
        (&state["num_results"], &state["num_entries"]),
        (&Value::from(1234), &Value::from(3))
    );
    assert!(state["query_id"].is_i64() && state["timestamp"].is_i64() && state["created"].is_string());
    assert!(
        state["finished"].is_string() && state["query"].as_str().unwrap().contains("ti:a"),
        "{state}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_query_can_be_removed_once() {
    let api = Api::start(&[]).await;
    api.operator.set(Outcome::None);
    let asynchronous = [("prefer", "respond-async")];
    let location = accepted(api.send_with("GET", "/arxiv?title=x", &asynchronous).await).await;
    assert_eq!(json_body(api.get(&location).await).await["phase"], "Pending");
    assert_eq!(api.send("DELETE", &location).await.status(), 204);
    assert_eq!(api.get(&location).await.status(), 404);
    assert_eq!(api.send("DELETE", &location).await.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_no_query_are_not_found_and_other_methods_refused() {
    let api = Api::start(&[]).await;
    for path in [
        "/arxiv/nope",
        "/arxiv/Upper",
        "/arxiv/a%2Fb",
        "/arxiv/..%2f",
        "/arxiv/%20",
        "/arxiv/nope/results",
        "/arxiv/nope/events",
    ] {
        assert_eq!(api.get(path).await.status(), 404, "{path}");
    }
    let response = api.send("PUT", "/arxiv/nope").await;
    assert_eq!(response.status(), 405);
    assert_eq!(header(&response, "allow"), Some("GET, DELETE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn state_that_many_ask_for_is_read_from_kubernetes_once_a_second() {
    let api = Api::start(&[]).await;
    let began = Instant::now();
    for _ in 0..200 {
        assert_eq!(api.get("/arxiv/nothing").await.status(), 404);
    }
    let is_read = |path: &str| path.ends_with("/arxivqueries/nothing");
    let reads = api
        .kubernetes
        .requests()
        .iter()
        .filter(|(_, path)| is_read(path))
        .count();
    let most = began.elapsed().as_secs() + 1;
    assert!(reads as u64 <= most, "{reads} reads, of at most {most}");
    // What changes is read anew at once.
    api.operator.set(Outcome::None);
    let asynchronous = [("prefer", "respond-async")];
    let location = accepted(api.send_with("GET", "/arxiv?title=x", &asynchronous).await).await;
    assert_eq!(json_body(api.get(&location).await).await["phase"], "Pending");
    let mut events = Events::open(&api, &format!("{location}/events"), None).await;
    api.operator.set(Outcome::Found);
    while events.next().await.is_some() {}
    assert_eq!(json_body(api.get(&location).await).await["phase"], "Succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_asks_for_many_queries_is_limited_and_others_are_not() {
    let settings = [
        ("CLIENT_LOOKUPS_PER_MINUTE", "30"),
        ("TRUSTED_PROXIES", "127.0.0.0/8"),
    ];
    let api = Api::start(&settings).await;
    let status = async |client: &str, name: &str| {
        let headers = [("x-forwarded-for", client)];
        let response = api.send_with("GET", &format!("/arxiv/{name}"), &headers).await;
        let after = header(&response, "retry-after").is_some();
        assert_eq!(after, response.status() == 429);
        response.status().as_u16()
    };
    for name in ["a", "b", "c"] {
        assert_eq!(status("192.0.2.1", name).await, 404);
    }
    assert_eq!(status("192.0.2.1", "d").await, 429);
    assert_eq!(status("192.0.2.2", "d").await, 404);
}
