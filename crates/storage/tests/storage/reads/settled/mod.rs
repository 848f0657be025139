//! How far results are settled: what tries to get a wrong page, or one with a hole, out of it.

mod replicas;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::{Connection, PgConnection};
use storage::{Access, Position, Reads, Records, ResultFilter, SettledPage, Watermark};
use testbed::Postgres;

use crate::setup::{Server, eventually, pool_settings};

fn records(server: &Server) -> Records {
    let pool = server.pool("arxiv_rw", "arxiv");
    Records::new(pool.clone(), pool, false)
}

fn reads(server: &Postgres) -> Reads {
    let url = server.url("arxiv_ro", "arxiv_ro", "arxiv");
    let pool = storage::Pool::open(&url, &pool_settings(Access::ReadOnly)).unwrap();
    Reads::new(pool.clone(), pool, None)
}

/// Behind a row of the present epoch.
async fn page(reads: &Reads, after: i64, limit: i64) -> SettledPage {
    let position = Position {
        id: after,
        ..Position::START
    };
    page_behind(reads, position, limit).await
}

async fn page_behind(reads: &Reads, position: Position, limit: i64) -> SettledPage {
    let all = ResultFilter::default();
    reads.settled_after(&all, position, limit).await.unwrap().unwrap()
}

async fn authors(reads: &Reads) -> Vec<String> {
    let rows = page(reads, i64::MIN, 1000).await.rows;
    rows.into_iter().map(|row| row.paper.author).collect()
}

/// As often as it takes when nobody writes.
async fn settle(records: &Records) {
    for _ in 0..2 {
        records.advance_watermark().await.unwrap();
    }
}

async fn writer(server: &Server) -> PgConnection {
    PgConnection::connect(&server.url("arxiv_rw", "arxiv"))
        .await
        .unwrap()
}

const INSERT: &str = "insert into public.results (author) values ($1)";

#[tokio::test]
async fn settled_page_has_no_gap_when_commits_are_out_of_order() {
    let server = Server::migrated().await;
    let (records, reads) = (records(&server), reads(&server.postgres));
    assert!(
        reads.watermark(Position::START).await.unwrap().is_none(),
        "not known yet"
    );
    settle(&records).await;
    assert_eq!(reads.watermark(Position::START).await.unwrap().unwrap().id, 0);

    let (mut slow, mut fast) = (writer(&server).await, writer(&server).await);
    let mut open = slow.begin().await.unwrap();
    sqlx::query(INSERT)
        .bind("slow")
        .execute(&mut *open)
        .await
        .unwrap();
    sqlx::query(INSERT).bind("fast").execute(&mut fast).await.unwrap();
    for _ in 0..5 {
        settle(&records).await;
        assert_eq!(
            authors(&reads).await,
            Vec::<String>::new(),
            "a row may come before it"
        );
    }
    // Later writers are not waited for.
    let mut later = fast.begin().await.unwrap();
    sqlx::query(INSERT)
        .bind("later")
        .execute(&mut *later)
        .await
        .unwrap();
    open.commit().await.unwrap();
    settle(&records).await;
    assert_eq!(authors(&reads).await, ["slow", "fast"]);
    later.rollback().await.unwrap();
    settle(&records).await;
    let settled = reads.watermark(Position::START).await.unwrap().unwrap();
    assert_eq!(settled.id, 3, "what was rolled back never comes");

    // Nothing new: nothing is written.
    // What else goes on in the server writes now and then.
    eventually("rounds that write nothing", async || {
        let before: String = server
            .value("arxiv", "select pg_current_wal_insert_lsn()::text")
            .await;
        records.advance_watermark().await.unwrap();
        records.advance_watermark().await.unwrap();
        let between = format!("select (pg_current_wal_insert_lsn() - '{before}'::pg_lsn)::bigint");
        server.value::<i64>("arxiv", &between).await < 1000
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn settled_walk_is_complete_among_writers() {
    let server = Arc::new(Server::migrated().await);
    let records = records(&server);
    settle(&records).await;
    let done = Arc::new(AtomicBool::new(false));
    let writers = (0..6_u64).map(|n| {
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            let mut connection = writer(&server).await;
            for turn in 0..40_u64 {
                let mut transaction = connection.begin().await.unwrap();
                for _ in 0..=(n * 7 + turn * 3) % 5 {
                    sqlx::query(INSERT)
                        .bind("x")
                        .execute(&mut *transaction)
                        .await
                        .unwrap();
                    tokio::time::sleep(Duration::from_millis((n * 5 + turn) % 4)).await;
                }
                if (n + turn) % 5 == 0 {
                    transaction.rollback().await.unwrap();
                } else {
                    transaction.commit().await.unwrap();
                }
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let settler = tokio::spawn({
        let done = Arc::clone(&done);
        async move {
            while !done.load(Ordering::Relaxed) {
                records.advance_watermark().await.unwrap();
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
            settle(&records).await;
            settle(&records).await;
        }
    });
    let all_settled = Arc::new(AtomicBool::new(false));
    let walk = tokio::spawn({
        let (reads, all_settled) = (reads(&server.postgres), Arc::clone(&all_settled));
        async move {
            let mut ids: Vec<i64> = Vec::new();
            let mut pages = 0;
            loop {
                let ended = all_settled.load(Ordering::Relaxed);
                let after = ids.last().copied().unwrap_or(i64::MIN);
                let rows = page(&reads, after, 7).await.rows;
                pages += usize::from(!rows.is_empty());
                let is_end = rows.len() < 7;
                ids.extend(rows.iter().map(|row| row.id));
                if is_end && ended {
                    return (ids, pages);
                }
            }
        }
    });
    for writer in writers {
        writer.await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    settler.await.unwrap();
    all_settled.store(true, Ordering::Relaxed);
    let (ids, pages) = walk.await.unwrap();
    let all: Vec<i64> = server
        .value("arxiv", "select array_agg(id::bigint order by id) from results")
        .await;
    assert_eq!(ids, all);
    assert!(pages > 10, "{pages}");
}

#[tokio::test]
async fn epoch_is_new_after_deletes_and_updates() {
    let server = Server::migrated().await;
    let (records, reads) = (records(&server), reads(&server.postgres));
    let fill = "insert into results (author) select 'A' || n from generate_series(1, 5500) n";
    server.execute("arxiv", fill).await;
    settle(&records).await;
    let epoch = async || reads.watermark(Position::START).await.unwrap().unwrap().epoch;
    let check = async || {
        // Whatever was counted before, pages by number are those of the very rows.
        for page in [0, 99, 100, 101, 250, 499, 538, 549, 550] {
            let read = reads.results(page, 10).await.unwrap();
            let sql = format!(
                "select coalesce(array_agg(author), '{{}}') from (select author from results order by id limit 10 offset {}) p",
                page * 10
            );
            let rows: Vec<String> = server.value("arxiv", &sql).await;
            assert_eq!(
                read.iter().map(|row| row.author.clone()).collect::<Vec<_>>(),
                rows,
                "{page}"
            );
        }
        let all = ResultFilter::default();
        let count: i64 = server.value("arxiv", "select count(*) from results").await;
        assert_eq!(reads.total(&all).await.unwrap(), Some(count));
    };
    let positions =
        "select count(*) from arxiv_results_row_counts p join arxiv_results_epoch e using (epoch)";
    assert_eq!(server.value::<i64>("arxiv", positions).await, 5);
    check().await;
    let mut last = epoch().await;
    for change in [
        "delete from results where id in (3, 1700, 1701, 4000)",
        "update results set title = 'new' where id = 5",
        "delete from results where id % 2 = 0",
    ] {
        server.execute("arxiv", change).await;
        let now = epoch().await;
        assert!(now > last, "{change}");
        last = now;
        assert_eq!(
            server.value::<i64>("arxiv", positions).await,
            0,
            "none of them holds"
        );
        check().await;
        settle(&records).await;
        assert!(server.value::<i64>("arxiv", positions).await > 1);
        check().await;
    }

    // While a deletion is not committed, nobody sees it, and nothing is settled anew.
    let mut owner = server.admin("arxiv").await;
    let mut open = owner.begin().await.unwrap();
    sqlx::query("delete from public.results where id = 7")
        .execute(&mut *open)
        .await
        .unwrap();
    settle(&records).await;
    assert_eq!(epoch().await, last);
    open.rollback().await.unwrap();
    assert_eq!(epoch().await, last);

    // Ids are given anew: nothing is settled until it is known again.
    let anew = "truncate results restart identity; insert into results (author) values ('new')";
    server.execute("arxiv", anew).await;
    assert!(reads.watermark(Position::START).await.unwrap().is_none());
    settle(&records).await;
    assert_eq!(authors(&reads).await, ["new"]);
    let Watermark { epoch, id: bound, .. } = reads.watermark(Position::START).await.unwrap().unwrap();
    assert!(epoch > last && bound == 1);

    // After a restart this may be another server, which had less.
    server.postgres.restart().await.unwrap();
    let reads = self::reads(&server.postgres);
    let records = self::records(&server);
    settle(&records).await;
    assert!(reads.watermark(Position::START).await.unwrap().unwrap().epoch > epoch);
    assert_eq!(authors(&reads).await, ["new"]);
}

#[tokio::test]
async fn watermark_is_unknown_when_sequence_caches_ids() {
    let server = Server::migrated().await;
    let (records, reads) = (records(&server), reads(&server.postgres));
    server
        .execute(
            "arxiv",
            "alter sequence results_id_seq cache 10; insert into results (author) values ('a')",
        )
        .await;
    settle(&records).await;
    assert!(reads.watermark(Position::START).await.unwrap().is_none());
}

fn pool(server: &Postgres) -> storage::Pool {
    let url = server.url("arxiv_ro", "arxiv_ro", "arxiv");
    storage::Pool::open(&url, &pool_settings(Access::ReadOnly)).unwrap()
}

#[tokio::test]
async fn watermark_is_older_than_settle_time_when_split() {
    let server = Server::migrated().await;
    let records = records(&server);
    server
        .execute("arxiv", "insert into results (author) values ('old')")
        .await;
    settle(&records).await;
    let age = "update arxiv_results_settled set settled_at = settled_at - interval '20 s'";
    server.execute("arxiv", age).await;
    server
        .execute("arxiv", "insert into results (author) values ('young')")
        .await;
    settle(&records).await;
    let pool = pool(&server.postgres);
    let apart = Reads::new(pool.clone(), pool.clone(), Some(Duration::from_secs(10)));
    assert_eq!(authors(&apart).await, ["old"]);
    assert_eq!(
        authors(&Reads::new(pool.clone(), pool, None)).await,
        ["old", "young"]
    );
}
