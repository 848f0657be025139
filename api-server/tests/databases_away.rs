//! Databases and Kubernetes that are away at the start, and later.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod bed;

use reqwest::header;
use serde_json::{Value, json};
use testbed::stack::Options;

use bed::{Bed, SEED, eventually};

async fn status(bed: &Bed, path: &str) -> u16 {
    bed.get(path).await.status().as_u16()
}

async fn write(bed: &Bed, query_id: i64) -> u16 {
    let body = json!({"query_id": query_id, "timestamp": 1, "status": 200, "num_results": 1, "num_entries": 1,
        "query": "q"});
    bed.post("/write-queries", &body).await.status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_come_and_go() {
    let bed = Bed::start(&[("ARXIV_WAIT_MS", "4000")]).await;
    bed.execute(SEED).await;
    let databases = &bed.stack.databases;

    // The replica alone: reads are 503, nothing else is touched, and the process stays in service.
    databases.replica.stop().await.unwrap();
    for path in [
        "/results",
        "/read-results",
        "/queries?start_timestamp=2024-01-01",
        "/read-queries?start_timestamp=0",
    ] {
        let response = bed.get(path).await;
        assert_eq!(response.status(), 503, "{path}");
        assert!(response.headers().contains_key(header::RETRY_AFTER), "{path}");
        assert!(
            !response.headers().contains_key(header::CONTENT_DISPOSITION),
            "{path}"
        );
    }
    assert_eq!(status(&bed, "/get-sequence").await, 200);
    assert_eq!(write(&bed, 100).await, 201);
    eventually("the replica's absence is told", async || {
        let response = bed.get("/readyz").await;
        assert_eq!(response.status(), 200);
        let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        body["reasons"]["results_ro"].is_string().then_some(())
    })
    .await;
    databases.replica.start_again().await.unwrap();
    eventually("reads again", async || {
        (status(&bed, "/results").await == 200).then_some(())
    })
    .await;

    // The primary: writes and numbers are 503; a search is accepted, and runs when it is back.
    databases.primary.stop().await.unwrap();
    assert_eq!(status(&bed, "/get-sequence").await, 503);
    assert_eq!(status(&bed, "/arxiv-api?title=x").await, 503);
    assert_eq!(write(&bed, 101).await, 503);
    assert_eq!(status(&bed, "/results").await, 200);
    let response = bed.get("/arxiv?title=patience&max_results=2").await;
    assert_eq!(response.status(), 202);
    let location = response.headers()[header::LOCATION].to_str().unwrap().to_owned();

    // It stays in service for all that: behind a Service nobody would get these answers otherwise.
    let lost = ["sequence", "queries_rw", "results_rw", "upstream"];
    eventually("the primary's absence is told", async || {
        let response = bed.get("/readyz").await;
        let status = response.status();
        let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert_eq!(status, 200, "{body}");
        lost.iter()
            .all(|name| body["reasons"][name].is_string())
            .then_some(())
    })
    .await;
    assert_eq!(status(&bed, "/results").await, 200);

    // A process that starts meanwhile waits for what is away.
    bed.stack.api_servers[0].kill9_and_start().unwrap();
    eventually("it listens", async || {
        bed.client.get(bed.url("/healthz")).send().await.ok()
    })
    .await;
    assert_eq!(status(&bed, "/readyz").await, 503);
    assert_eq!(status(&bed, "/get-sequence").await, 503);
    databases.primary.start_again().await.unwrap();
    bed.stack.ready().await.unwrap();
    assert_eq!(status(&bed, "/get-sequence").await, 200);
    assert_eq!(write(&bed, 101).await, 201);
    eventually("the accepted query ends", async || {
        (status(&bed, &location).await == 200).then_some(())
    })
    .await;
    let rows = bed.get(&format!("{location}/results")).await;
    let rows: Vec<Value> = serde_json::from_str(&rows.text().await.unwrap()).unwrap();
    assert_eq!(rows.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn results_of_a_query_wait_for_the_replica() {
    let bed = Bed::start(&[]).await;
    let request = bed.client.get(bed.url("/arxiv?title=first&max_results=3")).send();
    assert_eq!(request.await.unwrap().status(), 200);
    bed.replicated().await;
    bed.stack.databases.replica.pause_replay().await.unwrap();
    let response = bed
        .client
        .get(bed.url("/arxiv?title=second&max_results=2"))
        .header("prefer", "respond-async");
    let response = response.send().await.unwrap();
    let location = response.headers()[header::LOCATION].to_str().unwrap().to_owned();
    eventually("the query ends", async || {
        (status(&bed, &location).await == 200).then_some(())
    })
    .await;
    let results = format!("{location}/results");
    let response = bed.get(&results).await;
    assert_eq!(response.status(), 503, "not there yet, and bounded");
    assert!(response.headers().contains_key(header::RETRY_AFTER));
    bed.stack.databases.replica.resume_replay().await.unwrap();
    let response = bed.get(&results).await;
    assert_eq!(response.status(), 200);
    let rows: Vec<Value> = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(rows.len(), 2, "its own rows only");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubernetes_may_be_away_at_the_start() {
    let bed = Bed::start_with(
        Options {
            own_control_plane: true,
            ..Options::default()
        },
        &[],
    )
    .await;
    bed.stack.control_plane().api_server().kill9();
    bed.stack.api_servers[0].kill9_and_start().unwrap();
    eventually("it listens", async || {
        bed.client.get(bed.url("/healthz")).send().await.ok()
    })
    .await;
    assert_eq!(status(&bed, "/readyz").await, 503);
    assert_eq!(status(&bed, "/arxiv?title=x").await, 503);
    assert_eq!(status(&bed, "/arxiv/x").await, 503);
    assert_eq!(status(&bed, "/results").await, 200);
    bed.stack.control_plane().start_api_server().await.unwrap();
    bed.stack.ready().await.unwrap();
    assert_eq!(status(&bed, "/arxiv?title=x").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_wait_at_once_over_one_watch() {
    let bed = Bed::start(&[]).await;
    let all = (0..120).map(|n| {
        bed.client
            .get(bed.url(&format!("/arxiv?title=w{}&max_results=1", n % 40)))
            .send()
    });
    for response in futures::future::join_all(all).await {
        assert_eq!(response.unwrap().status(), 200);
    }
    assert_eq!(bed.count("public.queries").await, 120);
    let metrics = bed.get("/metrics").await.text().await.unwrap();
    for line in [
        "arxiv_api_server_waiters 0",
        "arxiv_api_server_kubernetes_requests_in_flight 0",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
}
