//! The limit of pending queries, and their places in the queue.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::json;
use testbed::test_env::{eventually, json_body};

use crate::support::{Api, Outcome, Server, header};

/// Waits until the server knows of so many unfinished queries.
async fn seen(server: &Server, count: usize) {
    eventually("the server has seen all", async || {
        let metrics = server.get("/metrics").await.text().await.unwrap();
        let line = format!("arxiv_api_server_unfinished_queries {count}");
        metrics.lines().any(|other| other == line).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_queries_of_all_servers_share_one_limit_and_one_queue() {
    let api = Api::start(&[("ARXIV_MAX_PENDING", "5"), ("ARXIV_WAIT_MS", "100")]).await;
    api.operator.set(Outcome::None);
    let another = api.another().await;
    let servers = [&*api, &another];
    let mut locations = Vec::new();
    for n in 0..5 {
        // Each server sees what the other one created.
        let server = servers[n % 2];
        seen(server, n).await;
        let key = n.to_string();
        let response = server
            .post_with(
                "/arxiv",
                &json!({"search": {"title": key}}),
                &[("idempotency-key", &key)],
            )
            .await;
        assert_eq!(response.status(), 202, "{n}");
        locations.push(header(&response, "location").unwrap().to_owned());
    }
    for server in servers {
        seen(server, 5).await;
        let response = server.post("/arxiv", &json!({"search": {"title": "more"}})).await;
        assert_eq!(response.status(), 429);
        let after = header(&response, "retry-after").unwrap().parse::<u64>();
        assert!(after.unwrap() >= 1);
        let limit = header(&response, "ratelimit").unwrap();
        assert!(limit.starts_with("\"pending\";r=0"));
    }
    assert_eq!(api.get("/arxiv?title=more").await.status(), 429);
    // A query whose key is known is answered nevertheless.
    let known = another
        .post_with(
            "/arxiv",
            &json!({"search": {"title": "0"}}),
            &[("idempotency-key", "0")],
        )
        .await;
    assert_eq!(known.status(), 202);
    assert_eq!(api.objects().len(), 5);

    // Each has its place; when one is removed, another one is accepted, and the others move up.
    let place = async |location: &str| json_body(api.get(location).await).await["queue"]["place"].as_u64();
    let places = join_all(locations.iter().map(|location| place(location))).await;
    let all: BTreeSet<_> = places.iter().flatten().copied().collect();
    assert_eq!(all, (1..=5).collect());
    let first = places.iter().position(|place| *place == Some(1)).unwrap();
    let removed = locations.remove(first);
    assert_eq!(api.send("DELETE", &removed).await.status(), 204);
    eventually("the others move up", async || {
        let places = join_all(locations.iter().map(|location| place(location))).await;
        let all: BTreeSet<_> = places.into_iter().flatten().collect();
        (all == (1..=4).collect()).then_some(())
    })
    .await;
    eventually("another one is accepted", async || {
        (api.get("/arxiv?title=another").await.status() == 202).then_some(())
    })
    .await;
}
