//! The primary is lost with commits that its replica does not have, and the replica takes over.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use crd::ArxivQuery;
use kube::Api;
use kube::api::ListParams;
use serde_json::Value;
use testbed::stack::{Options, Server};
use testbed::{Postgres, Stack, http_get};

const LIMIT: Duration = Duration::from_secs(90);

async fn search(stack: &Stack, title: &str) -> (u16, String) {
    let url = stack
        .api_url()
        .unwrap()
        .join(&format!("arxiv?title={title}"))
        .unwrap();
    http_get(url).await.unwrap_or_default()
}

async fn object(stack: &Stack, title: &str) -> ArxivQuery {
    let client = stack.control_plane().client().await.unwrap();
    let objects: Api<ArxivQuery> = Api::namespaced(client, stack.namespace());
    let all = objects.list(&ListParams::default()).await.unwrap();
    let mut found = all
        .into_iter()
        .filter(|object| object.spec.search.title.as_deref() == Some(title));
    found.find(|object| object.phase().is_final()).unwrap()
}

async fn rows(server: &Postgres, object: &ArxivQuery) -> (i64, i64) {
    let uid = object.metadata.uid.as_ref().unwrap();
    let mut connection = server.connect("arxiv").await.unwrap();
    sqlx::query_as(
        "select (select count(*) from queries where query_uid = $1::uuid),
                (select count(*) from results where query_uid = $1::uuid)",
    )
    .bind(uid)
    .fetch_one(&mut connection)
    .await
    .unwrap()
}

/// Asynchronous replication, as docs/failover.md describes it.
#[tokio::test(flavor = "multi_thread")]
async fn failover_without_confirmation_loses_last_results_completely() {
    // An error means that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let stack = Stack::start(Options {
        proxies: true,
        ..Options::default()
    })
    .await
    .unwrap();
    let (old, new) = (&stack.databases.primary, &stack.databases.replica);
    assert_eq!(search(&stack, "kept").await.0, 200);
    new.wait_replayed(old).await.unwrap();
    new.stop().await.unwrap();
    assert_eq!(search(&stack, "lost").await.0, 200);

    old.kill9().await.unwrap();
    new.start_again().await.unwrap();
    new.promote().await.unwrap();
    for proxy in stack
        .services()
        .filter_map(|service| service.proxy(Server::Primary))
    {
        proxy.route_to(SocketAddr::from((Ipv4Addr::LOCALHOST, new.port())));
    }
    let began = Instant::now();
    let mut tries = 0;
    loop {
        tries += 1;
        match search(&stack, &format!("after{tries}")).await.0 {
            200 => break,
            // Not yet possible, or accepted and done later.
            status => assert!(began.elapsed() < LIMIT, "{status}"),
        }
    }
    println!(
        "a search is answered again {:?} after the promotion",
        began.elapsed()
    );

    let title = format!("after{tries}");
    let (kept, lost, after) = tokio::join!(
        object(&stack, "kept"),
        object(&stack, "lost"),
        object(&stack, &title)
    );
    assert_eq!(rows(new, &kept).await, (1, 8));
    // All rows or none, and the object keeps its status.
    assert_eq!(rows(new, &lost).await, (0, 0));
    assert_eq!(rows(new, &after).await, (1, 8));
    let number = |object: &ArxivQuery| object.status.as_ref().and_then(|status| status.query_id);
    assert!(number(&lost).is_some() && number(&after).is_some());
    let name = lost.metadata.name.as_ref().unwrap();
    let url = stack
        .api_url()
        .unwrap()
        .join(&format!("arxiv/{name}/results"))
        .unwrap();
    let (status, body) = http_get(url).await.unwrap();
    assert_eq!(status, 503, "{body}");
    // A lost search is run again with a new name, and succeeds.
    let (status, body) = search(&stack, "lost").await;
    let response: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status, response["num_entries"].as_i64()),
        (200, Some(8)),
        "{body}"
    );
}
