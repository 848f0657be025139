//! Databases and Kubernetes that are unavailable, at the start of a process and later.

use std::time::Duration;

use reqwest::header;
use serde_json::{Value, json};
use testbed::TestEnv;
use testbed::arxiv::Behaviour;
use testbed::stack::Options;
use testbed::test_env::{LIMIT, SEED, eventually, json_body};

async fn status(env: &TestEnv, path: &str) -> u16 {
    env.get(path).await.status().as_u16()
}

async fn write(env: &TestEnv, query_id: i64) -> u16 {
    let body = json!({"query_id": query_id, "timestamp": 1, "status": 200, "num_results": 1, "num_entries": 1,
        "query": "q"});
    env.post("/write-queries", &body).await.status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_without_their_database_are_503_and_the_process_stays_in_service() {
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
    eventually("the reason is in /readyz", async || {
        let response = env.get("/readyz").await;
        assert_eq!(response.status(), 200);
        let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        body["reasons"]["results_ro"].is_string().then_some(())
    })
    .await;
    databases.replica.start_again().await.unwrap();
    eventually("reads work again", async || {
        (status(&env, "/results").await == 200).then_some(())
    })
    .await;

    // The primary: writes and numbers are 503; a search is accepted, and runs when it is back.
    databases.primary.stop().await.unwrap();
    assert_eq!(status(&env, "/get-sequence").await, 503);
    assert_eq!(status(&env, "/arxiv-api?title=x").await, 503);
    assert_eq!(write(&env, 101).await, 503);
    assert_eq!(status(&env, "/results").await, 200);
    let response = env.get("/arxiv?title=accepted&max_results=2").await;
    assert_eq!(response.status(), 202);
    let location = response.headers()[header::LOCATION].to_str().unwrap().to_owned();

    // It stays in service: behind a Service nobody would get these answers otherwise.
    let lost = ["sequence", "queries_rw", "results_rw", "upstream"];
    eventually("the reasons are in /readyz", async || {
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

    // A process that starts meanwhile waits for its databases.
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
async fn searches_without_kubernetes_are_503_and_waiting_ones_survive_its_restart() {
    let options = Options {
        own_control_plane: true,
        ..Options::default()
    };
    let env = TestEnv::for_api_with(options, &[("ARXIV_WAIT_MS", "200000")]).await;
    let plane = env.stack.control_plane();
    assert_eq!(status(&env, "/arxiv?title=before").await, 200);

    // Unavailable when asked: always the same 503, and the search is not run afterwards.
    plane.api_server().kill9();
    let response = env.get("/arxiv?title=never").await;
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key(header::RETRY_AFTER));
    let body = json_body(response).await;
    assert_eq!(body.as_object().unwrap().len(), 1);
    assert_eq!(json_body(env.get("/arxiv/nope").await).await, body);
    eventually(
        "the reason is in /readyz, and the process in service",
        async || {
            let response = env.get("/readyz").await;
            let status = response.status();
            let body = json_body(response).await;
            assert_eq!(status, 200, "{body}");
            body["reasons"]["kubernetes"].is_string().then_some(())
        },
    )
    .await;
    assert_eq!(status(&env, "/results").await, 200, "reads go on");

    // Unavailable at the start.
    env.stack.api_servers[0].kill9_and_start().unwrap();
    eventually("it listens", async || {
        env.http.get(env.url("/healthz")).send().await.ok()
    })
    .await;
    assert_eq!(status(&env, "/readyz").await, 503);
    assert_eq!(status(&env, "/arxiv?title=never").await, 503);
    assert_eq!(status(&env, "/arxiv/x").await, 503);
    assert_eq!(status(&env, "/results").await, 200);
    plane.start_api_server().await.unwrap();
    env.stack.ready().await.unwrap();
    let objects = env.objects().await;
    let mut titles = objects.iter().map(|object| object.spec.search.title.as_deref());
    assert!(titles.all(|title| title != Some("never")));

    // Unavailable while a search waits: it is answered after all.
    env.forget_pages().await;
    let arxiv = env.stack.arxiv().unwrap();
    arxiv.clear_record();
    arxiv.set(Behaviour {
        delay_ms: 2000,
        ..Behaviour::default()
    });
    let request = env.http.get(env.url("/arxiv?title=across"));
    let waiting = tokio::spawn(request.timeout(Duration::from_mins(4)).send());
    arxiv.wait_for_requests(1, LIMIT).await.unwrap();
    plane.api_server().kill9();
    tokio::time::timeout(LIMIT, plane.start_api_server())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
}
