//! /arxiv/NAME: the state of one query, and its removal.

use serde_json::Value;
use testbed::test_env::json_body;

use super::{accepted, finished};
use crate::support::{Api, Outcome, header};

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
