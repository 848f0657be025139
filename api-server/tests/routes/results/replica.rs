//! Reads from a replica that is behind its primary, or without it.

use testbed::test_env::{SEED, eventually, json_body};

use super::next;
use crate::support::{Api, header};

#[tokio::test(flavor = "multi_thread")]
async fn replica_that_is_behind_is_read_and_its_lag_reported() {
    let api = Api::with_replica().await;
    api.execute(SEED).await;
    api.operator.settle().await;
    let databases = &api.databases;
    databases.replicated().await;
    let first = api.get("/results?after=&items_per_page=20").await;
    let path = next(&first).unwrap();

    databases.replica().pause_replay().await.unwrap();
    let late = "insert into public.results (author) values ('late')";
    databases.execute_unreplicated("arxiv", late).await;
    eventually("the lag is reported", async || {
        let response = api.get("/results").await;
        assert_eq!(response.status(), 200);
        header(&response, "arxiv-replica-lag").map(|_| ())
    })
    .await;
    let metrics = api.get("/metrics").await.text().await.unwrap();
    let metric = "arxiv_api_server_replica_lag_seconds{replica=\"results_ro\"}";
    assert!(metrics.contains(metric), "{metrics}");

    // A cursor of a server whose replica is further would miss rows here.
    let ahead = {
        let epoch = "update public.arxiv_results_epoch set epoch = epoch + 1";
        databases.execute_unreplicated("arxiv", epoch).await;
        databases.replica().resume_replay().await.unwrap();
        databases.replicated().await;
        let first = api.get("/results?after=&items_per_page=20").await;
        databases.replica().pause_replay().await.unwrap();
        next(&first).unwrap()
    };
    assert_ne!(ahead, path, "in the new epoch");
    databases.replica().resume_replay().await.unwrap();
    api.execute("update public.arxiv_results_epoch set epoch = epoch - 1")
        .await;
    let response = api.get(&ahead).await;
    assert!(header(&response, "retry-after").is_some());
    assert_eq!(response.status(), 503);
    assert_eq!(api.get(&path).await.status(), 200);

    // Reads do not need the primary.
    databases.primary().stop().await.unwrap();
    for path in [
        "/results?author=a7&total=true",
        "/results?all=true&format=csv",
        "/queries?start_timestamp=2024-01-01",
        &path,
    ] {
        assert_eq!(api.get(path).await.status(), 200, "{path}");
    }
    eventually("a replica without a primary is behind", async || {
        header(&api.get("/results").await, "arxiv-replica-lag").map(|_| ())
    })
    .await;
    // Far behind, after half a minute, is a reason; and takes no process out of service.
    eventually("the reason is in /readyz", async || {
        let reasons = json_body(api.get("/readyz").await).await["reasons"].clone();
        let reason = reasons["results_ro"].as_str()?.to_owned();
        reason.contains("seconds behind").then_some(())
    })
    .await;
    assert_eq!(api.get("/results").await.status(), 200);
}
