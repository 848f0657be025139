//! POST /arxiv: a query from a JSON body; and the keys that make it one query however often it is sent.

use std::collections::BTreeSet;

use crd::{Reason, SortBy, SortOrder};
use futures::future::join_all;
use serde_json::{Value, json};
use testbed::test_env::{error_of, json_body, problems};

use super::finished;
use crate::support::{Api, Outcome, Server, header, url};

#[tokio::test(flavor = "multi_thread")]
async fn posted_query_is_created_and_answered_with_its_final_state() {
    let api = Api::start(&[]).await;
    let query = json!({"search": {"title": "a", "author": "b", "sort_by": "SubmittedDate", "sort_order": "ascending"},
        "max_results": 3});
    let response = api.post("/arxiv", &query).await;
    assert_eq!(response.status(), 201);
    assert_eq!(header(&response, "cache-control"), Some("no-store"));
    let location = header(&response, "location").unwrap().to_owned();
    let state = json_body(response).await;
    assert_eq!(format!("/arxiv/{}", state["name"].as_str().unwrap()), location);
    assert_eq!(
        (
            &state["phase"],
            &state["status"],
            &state["num_results"],
            &state["num_entries"]
        ),
        (&json!("Succeeded"), &json!(200), &json!(1234), &json!(3))
    );
    assert_eq!(state["search"], json!({"author": "b", "title": "a"}));
    assert_eq!(state["queue"], Value::Null);
    assert_eq!(json_body(api.get(&location).await).await, state);
    let rows = json_body(api.get(&format!("{location}/results")).await).await;
    assert_eq!(rows.as_array().unwrap().len(), 3);
    let spec = &api.objects()[0].spec;
    assert_eq!(
        (spec.search.sort_by, spec.search.sort_order),
        (SortBy::SubmittedDate, SortOrder::Ascending)
    );
    assert_eq!(
        (spec.backoff_limit, spec.ttl_seconds_after_finished),
        (6, Some(4 * 3600))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn posted_query_without_papers_is_created_and_failed_one_is_the_error_of_arxiv() {
    let api = Api::start(&[]).await;
    api.operator.set(Outcome::NothingFound);
    let response = api.post("/arxiv", &json!({"search": {"title": "none"}})).await;
    assert_eq!(response.status(), 201);
    assert_eq!(json_body(response).await["num_results"], 0);
    api.operator
        .set(Outcome::Failed(Reason::UnexpectedStatus, Some(403)));
    let refused = json!({"search": {"title": "refused"}, "backoff_limit": 0});
    let response = api.post("/arxiv", &refused).await;
    assert_eq!(response.status(), 403);
    let location = header(&response, "location").unwrap();
    assert_eq!(json_body(api.get(location).await).await["phase"], "Failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn body_is_accepted_in_the_names_of_a_spec_and_refused_with_unknown_members() {
    let api = Api::start(&[]).await;
    let spec = json!({"search": {"title": "spec"}, "maxResults": 1, "backoffLimit": 2});
    assert_eq!(api.post("/arxiv", &spec).await.status(), 201);
    let wrong = json!({"max_results": 0, "search": {"titel": "x"}});
    let (status, detail) = error_of(api.post("/arxiv", &wrong).await).await;
    assert_eq!(status, 422);
    assert_eq!(
        problems(&detail),
        [
            (
                "greater_than_equal".to_owned(),
                r#"["body","max_results"]"#.to_owned()
            ),
            (
                "extra_forbidden".to_owned(),
                r#"["body","search","titel"]"#.to_owned()
            ),
        ]
    );
    let post = || api.http.post(url("/arxiv"));
    let text = post().header("content-type", "text/plain").body(spec.to_string());
    let (status, detail) = error_of(api.respond(text).await).await;
    assert_eq!(status, 415, "{detail}");
    let untyped = post().body("{\"search\":{\"title\":\"x\"}}");
    assert_eq!(api.respond(untyped).await.status(), 422);
    assert_eq!(api.send("PUT", "/arxiv").await.status(), 405);
    assert_eq!(api.send("HEAD", "/arxiv").await.status(), 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn preferences_of_waiting_are_applied_and_named() {
    let api = Api::start(&[]).await;
    for (prefer, applied) in [
        ("respond-async", &["respond-async"][..]),
        ("wait=1", &["wait=1"]),
        ("respond-async, wait=1", &["respond-async", "wait=1"]),
    ] {
        api.operator.set(Outcome::None);
        let query = json!({"search": {"title": prefer}});
        let response = api.post_with("/arxiv", &query, &[("prefer", prefer)]).await;
        assert_eq!(response.status(), 202, "{prefer}");
        let named: Vec<_> = response.headers().get_all("preference-applied").iter().collect();
        assert_eq!(named, applied, "{prefer}");
        let after = header(&response, "retry-after").unwrap().parse::<u64>();
        assert!(after.unwrap() >= 1);
        let location = header(&response, "location").unwrap().to_owned();
        let state = json_body(response).await;
        assert!(
            ["Pending", "Running"].contains(&state["phase"].as_str().unwrap()),
            "{state}"
        );
        api.operator.set(Outcome::Found);
        finished(&api, &location).await;
    }
}

/// Posts with a key.
async fn post(server: &Server, key: &str, query: &Value) -> reqwest::Response {
    server
        .post_with("/arxiv", query, &[("idempotency-key", key)])
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn idempotency_key_creates_one_object_on_all_servers_until_it_is_removed() {
    let api = Api::start(&[]).await;
    let another = api.another().await;
    let servers = [&*api, &another];
    let (key, query) = (
        "\"8e03978e\"",
        json!({"search": {"title": "once"}, "max_results": 2}),
    );

    // At the same time, on both: all get the same one.
    let answers = join_all((0..20).map(|n| post(servers[n % 2], key, &query))).await;
    let mut names = BTreeSet::new();
    for answer in answers {
        assert_eq!(answer.status(), 201);
        names.insert(json_body(answer).await["name"].as_str().unwrap().to_owned());
    }
    assert_eq!(names.len(), 1);
    assert_eq!(api.objects().len(), 1);

    // Later, in other words, after a restart, by GET.
    let restarted = api.another().await;
    let same = json!({"maxResults": 2, "search": {"title": "once", "sortOrder": "Descending"}});
    let unquoted = "8e03978e";
    assert_eq!(
        json_body(post(&restarted, unquoted, &same).await).await["name"],
        *names.first().unwrap()
    );
    let path = "/arxiv?title=once&max_results=2";
    let response = api.send_with("GET", path, &[("idempotency-key", unquoted)]).await;
    assert_eq!(json_body(response).await.as_object().unwrap().len(), 4);

    // Something else with the key is refused by each server.
    for server in servers {
        let other = json!({"search": {"title": "other"}, "max_results": 2});
        let response = post(server, key, &other).await;
        assert_eq!(response.status(), 422);
        let detail = json_body(response).await["detail"].clone();
        assert!(detail.as_str().unwrap().contains("Idempotency-Key"));
    }
    assert_eq!(post(&api, "", &query).await.status(), 400);
    assert_eq!(api.objects().len(), 1);

    // Once the object is gone, the key is free.
    let location = format!("/arxiv/{}", names.first().unwrap());
    assert_eq!(api.send("DELETE", &location).await.status(), 204);
    let new = json!({"search": {"title": "new"}});
    assert_eq!(post(&restarted, key, &new).await.status(), 201);
}
