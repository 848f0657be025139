//! The same where replicas are read, and where one of them takes over.

use std::time::Duration;

use storage::{Access, Position, Records};

use super::{page, page_behind, pool, reads, records, settle};
use crate::setup::{Server, eventually, pool_settings};

#[tokio::test]
async fn replica_watermark_advances_with_replay() {
    let server = Server::migrated().await;
    let (records, primary) = (records(&server), reads(&server.postgres));
    server
        .execute(
            "arxiv",
            "insert into results (author) select 'A' || n from generate_series(1, 20) n",
        )
        .await;
    settle(&records).await;
    let (first, second) = (
        server.postgres.replica().await.unwrap(),
        server.postgres.replica().await.unwrap(),
    );
    for replica in [&first, &second] {
        replica.wait_replayed(&server.postgres).await.unwrap();
    }
    let (ahead, behind) = (reads(&first), reads(&second));
    second.pause_replay().await.unwrap();
    server
        .execute(
            "arxiv",
            "insert into results (author) select 'B' || n from generate_series(1, 20) n",
        )
        .await;
    settle(&records).await;
    server.execute("arxiv", "delete from results where id = 2").await;
    first.wait_replayed(&server.postgres).await.unwrap();
    let (there, here) = (
        page(&ahead, i64::MIN, 100).await,
        page(&behind, i64::MIN, 100).await,
    );
    assert_eq!((there.watermark.id, there.rows.len()), (40, 39));
    assert_eq!((here.watermark.id, here.rows.len()), (20, 20));
    assert!(
        here.watermark.epoch < there.watermark.epoch,
        "so it is known to be behind"
    );

    let lag = storage::ReplicaState::of(&pool(&second))
        .await
        .unwrap()
        .lag()
        .unwrap();
    eventually("the lag grows", async || {
        let later = storage::ReplicaState::of(&pool(&second))
            .await
            .unwrap()
            .lag()
            .unwrap();
        later > lag + Duration::from_millis(200)
    })
    .await;
    second.resume_replay().await.unwrap();
    second.wait_replayed(&server.postgres).await.unwrap();
    assert_eq!(page(&behind, i64::MIN, 100).await.watermark, there.watermark);
    eventually("the lag ends", async || {
        let now = storage::ReplicaState::of(&pool(&second)).await.unwrap().lag();
        now == Some(Duration::ZERO)
    })
    .await;
    assert_eq!(
        storage::ReplicaState::of(&pool(&server.postgres))
            .await
            .unwrap()
            .lag(),
        None
    );
    assert_eq!(page(&primary, i64::MIN, 100).await.watermark, there.watermark);
}

#[tokio::test]
async fn epoch_is_new_and_page_has_no_gap_after_lossy_fail_over() {
    let server = Server::migrated().await;
    let primary = records(&server);
    let add = |author: &'static str| {
        let server = &server;
        async move {
            let sql =
                format!("insert into results (author) select '{author}' || n from generate_series(1, 40) n");
            server.execute("arxiv", &sql).await;
        }
    };
    add("A").await;
    settle(&primary).await;
    let (first, second) = (
        server.postgres.replica().await.unwrap(),
        server.postgres.replica().await.unwrap(),
    );
    for replica in [&first, &second] {
        replica.wait_replayed(&server.postgres).await.unwrap();
    }
    // One replica does not get the rest: twice as many ids as Postgres logs ahead, and what began a new epoch.
    second.stop().await.unwrap();
    add("B").await;
    add("C").await;
    settle(&primary).await;
    server.execute("arxiv", "delete from results where id = 2").await;
    settle(&primary).await;
    first.wait_replayed(&server.postgres).await.unwrap();
    let seen = page(&reads(&first), i64::MIN, 1000).await;
    assert_eq!((seen.watermark.id, seen.rows.len()), (120, 119));
    let read = Position {
        epoch: seen.watermark.epoch,
        id: 120,
    };
    server.postgres.stop().await.unwrap();

    second.start_again().await.unwrap();
    second.promote().await.unwrap();
    let url = second.url("arxiv_rw", "arxiv_rw", "arxiv");
    let pool = storage::Pool::open(&url, &pool_settings(Access::ReadWrite)).unwrap();
    let records = Records::new(pool.clone(), pool.clone(), false);
    let reads = reads(&second);
    // It changes as the other one did, and goes on with ids that were given before.
    let change = "delete from results where id = 3;
        insert into results (author) select 'D' || n from generate_series(1, 40) n";
    second.execute("arxiv", change).await.unwrap();
    settle(&records).await;
    let here = page_behind(&reads, read, 1000).await;
    assert!(here.watermark.epoch > seen.watermark.epoch, "{here:?}");
    assert!(here.watermark.id < read.id, "fewer than there: {here:?}");
    assert_eq!(here.watermark.after, 40, "what both had");
    let authors: Vec<_> = here.rows.iter().map(|row| row.paper.author.as_str()).collect();
    assert_eq!((authors.len(), authors[0], authors[39]), (40, "D1", "D40"));
    // Who has read here goes on from there.
    let on = Position {
        epoch: here.watermark.epoch,
        id: here.rows[9].id,
    };
    assert_eq!(page_behind(&reads, on, 1).await.rows[0].paper.author, "D11");
}
