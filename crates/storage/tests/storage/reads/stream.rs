//! All rows at once, from a replica whose recovery conflicts with the read.

use futures::TryStreamExt;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use storage::{Access, Reads, ResultFilter, TextQuery};
use testbed::Postgres;

use crate::setup::{Server, eventually, pool_settings};

/// A transaction of the primary whose locks, replayed, stop the reads of `results` on its replica and cancel them: each as often
/// as the test wants. A read that waits here has the product's statement timeout, so its waits contain no slow steps, such as
/// new connections.
struct Recovery {
    index: sqlx::postgres::types::Oid,
    locks: PgConnection,
    flush: PgConnection,
    watch: PgConnection,
    seen: Option<String>,
}

impl Recovery {
    async fn of(server: &Server, replica: &Postgres) -> Self {
        // What recovery needs it takes at once. With a reload nobody would know from when on.
        for setting in ["max_standby_streaming_delay", "max_standby_archive_delay"] {
            let sql = format!("alter system set {setting} = 0");
            replica.execute("postgres", &sql).await.unwrap();
        }
        replica.restart().await.unwrap();
        let index = "select 'results_pkey'::regclass::oid";
        Self {
            index: server.value("arxiv", index).await,
            locks: server.admin("arxiv").await,
            flush: server.admin("postgres").await,
            // In another database, so that it conflicts with nothing.
            watch: replica.connect("postgres").await.unwrap(),
            seen: None,
        }
    }

    async fn replay(&mut self, sql: &'static str) {
        self.locks.execute(sql).await.unwrap();
        // A transaction that writes flushes the log, the locks in it included.
        let flush = "select pg_logical_emit_message(true, '', '')::text";
        let flushed: String = sqlx::query_scalar(flush)
            .fetch_one(&mut self.flush)
            .await
            .unwrap();
        let replayed = format!("select pg_last_wal_replay_lsn() >= '{flushed}'");
        eventually("the locks are replayed", async || {
            let replayed = sqlx::query_scalar(AssertSqlSafe(replayed.clone()));
            replayed.fetch_one(&mut self.watch).await.unwrap()
        })
        .await;
    }

    /// From now on a read holds its table and waits for an index.
    async fn stop_reads(&mut self) {
        self.replay("begin; reindex index results_pkey").await;
    }

    /// Waits for a try of a read that was not seen yet: a waiting one ends when it is cancelled, or let through.
    async fn wait_for_try(&mut self) {
        let sql = "select virtualtransaction from pg_locks where relation = $1 and not granted";
        eventually("a try that waits", async || {
            let waits = sqlx::query_scalar::<_, String>(sql).bind(self.index);
            let waits = waits.fetch_optional(&mut self.watch).await.unwrap();
            let is_new = waits.is_some() && waits != self.seen;
            self.seen = waits.or(self.seen.take());
            is_new
        })
        .await;
    }

    /// Cancels the read to come so many times, then lets it through.
    async fn cancel(&mut self, times: u32) {
        self.wait_for_try().await;
        for _ in 0..times {
            // Recovery takes the table from its holders, and gives it back.
            self.replay("savepoint table_lock; lock table results in access exclusive mode")
                .await;
            self.replay("rollback to table_lock").await;
            self.wait_for_try().await;
        }
        self.locks.execute("commit").await.unwrap();
    }
}

#[tokio::test]
async fn stream_returns_each_row_once_despite_recovery_conflicts() {
    let server = Server::migrated().await;
    let rows = "insert into results (author, title)
        select 'A' || n, case when n % 3 = 0 then 'third' end from generate_series(1, 6500) n";
    server.execute("arxiv", rows).await;
    // It locks the tables too, and would so cancel reads by itself.
    for sql in ["alter system set autovacuum = off", "select pg_reload_conf()"] {
        server.execute("postgres", sql).await;
    }
    let replica = server.postgres.replica().await.unwrap();
    replica.wait_replayed(&server.postgres).await.unwrap();
    let mut recovery = Recovery::of(&server, &replica).await;
    let url = replica.url("arxiv_ro", "arxiv_ro", "arxiv");
    let pool = storage::Pool::open(&url, &pool_settings(Access::ReadOnly)).unwrap();
    let reads = Reads::new(pool.clone(), pool, None);
    let third = ResultFilter {
        title: Some(TextQuery::parse("third").unwrap()),
        ..ResultFilter::default()
    };
    let mut cancelled = 0;
    for (filter, expected) in [(ResultFilter::default(), 6_500), (third, 2_166)] {
        let mut batches = reads.all(filter);
        let mut ids: Vec<i64> = Vec::new();
        // One time less than a read is tried again: a server may have reasons of its own.
        for times in [0, 1].into_iter().cycle() {
            recovery.stop_reads().await;
            // An error of the read is reported at once, not the wait for it.
            let next = async { batches.try_next().await.unwrap().unwrap() };
            let (batch, ()) = tokio::join!(next, recovery.cancel(times));
            cancelled += times;
            assert!(batch.len() <= 1000);
            ids.extend(batch.iter().map(|row| row.id));
            if ids.len() >= expected {
                break;
            }
        }
        assert!(batches.try_next().await.unwrap().is_none());
        assert_eq!(ids.len(), expected);
        assert!(ids.is_sorted_by(|a, b| a < b), "each once, by id");
    }
    println!("{cancelled} conflicts");
    for connection in [recovery.locks, recovery.flush, recovery.watch] {
        connection.close().await.unwrap();
    }
}
