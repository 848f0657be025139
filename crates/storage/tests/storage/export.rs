//! All rows at once, from a replica whose recovery stands in the way.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::TryStreamExt;
use storage::{Access, Reads, ResultFilter, Words};

use crate::setup::{Server, pool_settings};

#[tokio::test(flavor = "multi_thread")]
async fn all_rows_come_once_in_spite_of_conflicts() {
    let server = Arc::new(Server::migrated().await);
    let rows = "insert into results (author, title) select 'A' || n, case when n % 3 = 0 then 'third' end from generate_series(1, 20500) n;
        create table public.churn as select n from generate_series(1, 1000) n";
    server.execute("arxiv", rows).await;
    let replica = server.postgres.replica().await.unwrap();
    replica.wait_replayed(&server.postgres).await.unwrap();
    // What recovery needs it takes at once.
    replica
        .execute("postgres", "alter system set max_standby_streaming_delay = 0")
        .await
        .unwrap();
    replica
        .execute("postgres", "select pg_reload_conf()")
        .await
        .unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let churn = tokio::spawn({
        let (server, stop) = (Arc::clone(&server), Arc::clone(&stop));
        async move {
            while !stop.load(Ordering::Relaxed) {
                server
                    .execute(
                        "arxiv",
                        "delete from churn where n % 7 = 0; insert into churn select generate_series(1, 100)",
                    )
                    .await;
                server.execute("arxiv", "vacuum churn").await;
            }
        }
    });
    // Told by the server in the end, so that the test is about what it is meant for.
    let met = async || {
        // From another database: what looks is in nobody's way.
        let mut connection = replica.connect("postgres").await.unwrap();
        let sql = "select confl_lock + confl_snapshot + confl_bufferpin from pg_stat_database_conflicts where datname = 'arxiv'";
        sqlx::query_scalar::<_, i64>(sql)
            .fetch_one(&mut connection)
            .await
            .unwrap()
    };
    let url = replica.url("arxiv_ro", "arxiv_ro", "arxiv");
    let pool = storage::pool(&url, &pool_settings(Access::ReadOnly)).unwrap();
    let reads = Reads::new(pool.clone(), pool, None);
    let (mut exports, began) = (0, Instant::now());
    while exports == 0 || met().await == 0 {
        for (filter, expected) in [
            (ResultFilter::default(), 20_500),
            (
                ResultFilter {
                    title: Some(Words::parse("third").unwrap()),
                    ..ResultFilter::default()
                },
                6_833,
            ),
        ] {
            let batches: Vec<_> = reads.all(filter).try_collect().await.unwrap();
            assert!(batches.iter().all(|batch| batch.len() <= 1000));
            let ids: Vec<i64> = batches.iter().flatten().map(|row| row.id).collect();
            assert_eq!(ids.len(), expected);
            assert!(ids.is_sorted_by(|a, b| a < b), "each once, by id");
        }
        exports += 1;
        assert!(
            began.elapsed() < Duration::from_mins(3),
            "{exports} exports met no conflict"
        );
    }
    println!("{exports} exports of each kind, {} conflicts", met().await);
    stop.store(true, Ordering::Relaxed);
    churn.await.unwrap();
}
