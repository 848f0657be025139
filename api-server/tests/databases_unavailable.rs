//! Databases and Kubernetes that are away at the start, and later.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use reqwest::header;
use serde_json::{Value, json};
use testbed::TestEnv;
use testbed::stack::Options;
use testbed::test_env::{SEED, eventually};

async fn status(env: &TestEnv, path: &str) -> u16 {
    env.get(path).await.status().as_u16()
}

async fn write(env: &TestEnv, query_id: i64) -> u16 {
    let body = json!({"query_id": query_id, "timestamp": 1, "status": 200, "num_results": 1, "num_entries": 1,
        "query": "q"});
    env.post("/write-queries", &body).await.status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_come_and_go() {
    let env = TestEnv::for_api(&[("ARXIV_WAIT_MS", "4000")]).await;
    env.execute(SEED).await;
    let databases = &env.stack.databases;

    // The replica alone: reads are 503, nothing else is touched, and the process stays in service.
    databases.replica.stop().await.unwrap();
    for path in [
        "/results",
        "/read-results",
        "/queries?start_timestamp=2024-01-01",
        "/read-queries?start_timestamp=0",
    ] {
        let response = env.get(path).await;
        assert_eq!(response.status(), 503, "{path}");
        assert!(response.headers().contains_key(header::RETRY_AFTER), "{path}");
        assert!(
            !response.headers().contains_key(header::CONTENT_DISPOSITION),
            "{path}"
        );
    }
    assert_eq!(status(&env, "/get-sequence").await, 200);
    assert_eq!(write(&env, 100).await, 201);
    eventually("the replica's absence is told", async || {
        let response = env.get("/readyz").await;
        assert_eq!(response.status(), 200);
        let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        body["reasons"]["results_ro"].is_string().then_some(())
    })
    .await;
    databases.replica.start_again().await.unwrap();
    eventually("reads again", async || {
        (status(&env, "/results").await == 200).then_some(())
    })
    .await;

    // The primary: writes and numbers are 503; a search is accepted, and runs when it is back.
    databases.primary.stop().await.unwrap();
    assert_eq!(status(&env, "/get-sequence").await, 503);
    assert_eq!(status(&env, "/arxiv-api?title=x").await, 503);
    assert_eq!(write(&env, 101).await, 503);
    assert_eq!(status(&env, "/results").await, 200);
    let response = env.get("/arxiv?title=patience&max_results=2").await;
    assert_eq!(response.status(), 202);
    let location = response.headers()[header::LOCATION].to_str().unwrap().to_owned();

    // It stays in service for all that: behind a Service nobody would get these answers otherwise.
    let lost = ["sequence", "queries_rw", "results_rw", "upstream"];
    eventually("the primary's absence is told", async || {
        let response = env.get("/readyz").await;
        let status = response.status();
        let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert_eq!(status, 200, "{body}");
        lost.iter()
            .all(|name| body["reasons"][name].is_string())
            .then_some(())
    })
    .await;
    assert_eq!(status(&env, "/results").await, 200);

    // A process that starts meanwhile waits for what is away.
    env.stack.api_servers[0].kill9_and_start().unwrap();
    eventually("it listens", async || {
        env.http.get(env.url("/healthz")).send().await.ok()
    })
    .await;
    assert_eq!(status(&env, "/readyz").await, 503);
    assert_eq!(status(&env, "/get-sequence").await, 503);
    databases.primary.start_again().await.unwrap();
    env.stack.ready().await.unwrap();
    assert_eq!(status(&env, "/get-sequence").await, 200);
    assert_eq!(write(&env, 101).await, 201);
    eventually("the accepted query ends", async || {
        (status(&env, &location).await == 200).then_some(())
    })
    .await;
    let rows = env.get(&format!("{location}/results")).await;
    let rows: Vec<Value> = serde_json::from_str(&rows.text().await.unwrap()).unwrap();
    assert_eq!(rows.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn results_of_a_query_wait_for_the_replica() {
    let env = TestEnv::for_api(&[]).await;
    let request = env.http.get(env.url("/arxiv?title=first&max_results=3")).send();
    assert_eq!(request.await.unwrap().status(), 200);
    env.replicated().await;
    env.stack.databases.replica.pause_replay().await.unwrap();
    let response = env
        .http
        .get(env.url("/arxiv?title=second&max_results=2"))
        .header("prefer", "respond-async");
    let response = response.send().await.unwrap();
    let location = response.headers()[header::LOCATION].to_str().unwrap().to_owned();
    eventually("the query ends", async || {
        (status(&env, &location).await == 200).then_some(())
    })
    .await;
    let results = format!("{location}/results");
    let response = env.get(&results).await;
    assert_eq!(response.status(), 503, "not there yet, and bounded");
    assert!(response.headers().contains_key(header::RETRY_AFTER));
    env.stack.databases.replica.resume_replay().await.unwrap();
    let response = env.get(&results).await;
    assert_eq!(response.status(), 200);
    let rows: Vec<Value> = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(rows.len(), 2, "its own rows only");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubernetes_may_be_away_at_the_start() {
    let env = TestEnv::for_api_with(
        Options {
            own_control_plane: true,
            ..Options::default()
        },
        &[],
    )
    .await;
    env.stack.control_plane().api_server().kill9();
    env.stack.api_servers[0].kill9_and_start().unwrap();
    eventually("it listens", async || {
        env.http.get(env.url("/healthz")).send().await.ok()
    })
    .await;
    assert_eq!(status(&env, "/readyz").await, 503);
    assert_eq!(status(&env, "/arxiv?title=x").await, 503);
    assert_eq!(status(&env, "/arxiv/x").await, 503);
    assert_eq!(status(&env, "/results").await, 200);
    env.stack.control_plane().start_api_server().await.unwrap();
    env.stack.ready().await.unwrap();
    assert_eq!(status(&env, "/arxiv?title=x").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_wait_at_once_over_one_watch() {
    let env = TestEnv::for_api(&[]).await;
    let all = (0..120).map(|n| {
        env.http
            .get(env.url(&format!("/arxiv?title=w{}&max_results=1", n % 40)))
            .send()
    });
    for response in futures::future::join_all(all).await {
        assert_eq!(response.unwrap().status(), 200);
    }
    assert_eq!(env.count("public.queries").await, 120);
    let metrics = env.get("/metrics").await.text().await.unwrap();
    for line in [
        "arxiv_api_server_waiters 0",
        "arxiv_api_server_kubernetes_requests_in_flight 0",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
}
