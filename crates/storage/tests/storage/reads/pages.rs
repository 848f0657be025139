use std::time::{Duration, Instant};

use futures::{TryStreamExt, future::join_all};
use sqlx::{Connection, Executor};
use storage::{Access, Paper, QueryFilter, QueryLogEntry, Reads, StorageError};
use uuid::Uuid;

use crate::setup::{Server, eventually, pool_settings};

fn reads(server: &Server, settle: Option<Duration>) -> Reads {
    Reads::new(
        server.pool("arxiv_ro", "arxiv"),
        server.pool("arxiv_ro", "arxiv"),
        settle,
    )
}

async fn queries(reads: &Reads, start: i64, end: Option<i64>) -> Vec<QueryLogEntry> {
    let all = QueryFilter::default();
    reads.queries(start, end, all).try_concat().await.unwrap()
}

#[tokio::test]
async fn queries_are_ordered_by_time_then_insertion() {
    let server = Server::migrated().await;
    let rows = "insert into queries (query_id, timestamp, status, num_results, num_entries, query) values
        (1, 300, 200, 5, 1, 'c'), (2, 100, 200, 100000, 1, 'a'), (3, 200, null, null, null, null),
        (4, null, 200, 1, 1, 'never'), (5, 200, 200, 1, 1, ''), (6, 200, 200, 1, 1, 'b')";
    server.execute("arxiv", rows).await;
    let reads = reads(&server, None);
    let read = queries(&reads, 100, None).await;
    let texts: Vec<_> = read
        .iter()
        .map(|row| (row.timestamp, row.query.as_deref()))
        .collect();
    assert_eq!(
        texts,
        [
            (100, Some("a")),
            (200, None),
            (200, Some("")),
            (200, Some("b")),
            (300, Some("c"))
        ]
    );
    let nulls = QueryLogEntry {
        query: None,
        timestamp: 200,
        status: None,
        num_results: None,
    };
    assert_eq!(read[1], nulls);
    assert_eq!(read[0].num_results, Some(100_000));
    for (start, end, count) in [
        (100, Some(200), 4),
        (101, Some(199), 0),
        (200, Some(200), 3),
        (301, None, 0),
        (300, Some(100), 0),
        (i64::MIN, None, 5),
    ] {
        assert_eq!(queries(&reads, start, end).await.len(), count, "{start} {end:?}");
    }
}

#[tokio::test]
async fn queries_are_complete_when_read_in_batches() {
    let server = Server::migrated().await;
    // Many share a timestamp, over the borders of batches.
    let rows = "insert into queries (timestamp, num_results) select n / 700, n from generate_series(0, 4999) n order by random()";
    server.execute("arxiv", rows).await;
    let reads = reads(&server, None);
    let mut read: Vec<_> = queries(&reads, 0, None)
        .await
        .iter()
        .map(|row| row.num_results.unwrap())
        .collect();
    assert_eq!(read.len(), 5000);
    assert!(read.is_sorted_by_key(|n| n / 700));
    read.sort_unstable();
    assert!(read.into_iter().eq(0..5000));
}

#[tokio::test]
async fn results_page_is_ordered_and_reads_nulls_as_empty() {
    let server = Server::migrated().await;
    server.execute("arxiv", "insert into results (author, title, journal) select 'A' || n, 'T' || n, null from generate_series(0, 24) n").await;
    let reads = reads(&server, None);
    let first = reads.results(0, 10).await.unwrap();
    assert_eq!(
        first[0],
        Paper {
            author: "A0".into(),
            title: "T0".into(),
            ..Paper::default()
        }
    );
    for (page, items, first, count) in [
        (0, 10, Some("A0"), 10),
        (2, 10, Some("A20"), 5),
        (3, 10, None, 0),
        (1, 7, Some("A7"), 7),
        (0, 0, None, 0),
        (i64::MAX, 1000, None, 0),
    ] {
        let read = reads.results(page, items).await.unwrap();
        assert_eq!(
            (read.first().map(|row| row.author.as_str()), read.len()),
            (first, count),
            "{page} {items}"
        );
    }
}

#[tokio::test]
async fn reads_leave_out_rows_younger_than_settle_time_when_split() {
    let server = Server::migrated().await;
    let rows = "
        insert into queries (timestamp, query, recorded_at) values (1, 'before', null), (2, 'settled', now() - interval '61 s'), (3, 'young', now());
        insert into results (author, recorded_at) values ('before', null), ('young', now()), ('settled', now() - interval '61 s');";
    server.execute("arxiv", rows).await;
    let apart = reads(&server, Some(Duration::from_mins(1)));
    let read: Vec<_> = queries(&apart, 0, None)
        .await
        .into_iter()
        .map(|row| row.query.unwrap())
        .collect();
    assert_eq!(read, ["before", "settled"]);
    let read: Vec<_> = apart
        .results(0, 10)
        .await
        .unwrap()
        .iter()
        .map(|row| row.author.clone())
        .collect();
    assert_eq!(read, ["before", "settled"]);
    assert_eq!(reads(&server, None).results(0, 10).await.unwrap().len(), 3);
}

#[tokio::test]
async fn read_is_retried_twice_after_recovery_conflict() {
    let server = Server::migrated().await;
    // Simulates a cancelled read: fails so many times, then answers. (A sequence counts over rolled back statements.)
    let setup = "
        create sequence tries; grant usage on sequence tries to arxiv_ro;
        alter table results rename to stored;
        create function fail(times int) returns text language plpgsql as $$ begin
          if nextval('tries') <= times then raise 'conflict' using errcode = '40001'; end if; return 'read'; end $$;
        create view results as select 1 as id, fail(2) as author, '' as title, '' as journal, null::timestamptz as recorded_at;
        grant select on results to arxiv_ro; grant execute on function fail to arxiv_ro;";
    server.execute("arxiv", setup).await;
    let reads = reads(&server, None);
    assert_eq!(reads.results(0, 1).await.unwrap()[0].author, "read");
    server.execute("arxiv", "alter sequence tries restart; create or replace view results as select 1 as id, fail(3) as author, '' as title, '' as journal, null::timestamptz as recorded_at").await;
    let error = reads.results(0, 1).await.unwrap_err();
    assert!(matches!(error, StorageError::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn replica_answers_reads_and_refuses_writes() {
    let server = Server::migrated().await;
    server
        .execute("arxiv", "insert into results (author) values ('a')")
        .await;
    let replica = server.postgres.replica().await.unwrap();
    replica.wait_replayed(&server.postgres).await.unwrap();
    let url = |user: &str| replica.url(user, user, "arxiv");
    let read_only = storage::Pool::open(url("arxiv_ro"), &pool_settings(Access::ReadOnly)).unwrap();
    assert_eq!(
        Reads::new(read_only.clone(), read_only, None)
            .results(0, 10)
            .await
            .unwrap()
            .len(),
        1
    );

    // A pool that reads where it should write: the database's refusal is "unavailable", not a defect.
    let misled = storage::Pool::open(url("arxiv_rw"), &pool_settings(Access::ReadOnly)).unwrap();
    let refused = misled
        .acquire()
        .await
        .unwrap()
        .execute("insert into public.results (author) values ('b')")
        .await;
    let refused = StorageError::from(refused.unwrap_err());
    assert!(matches!(refused, StorageError::Unavailable(_)), "{refused:?}");

    // One that knows it has to write waits for the replica to be promoted.
    let mut settings = pool_settings(Access::ReadWrite);
    settings.acquire_timeout = Duration::from_secs(20);
    let writer = storage::Pool::open(url("arxiv_rw"), &settings).unwrap();
    let (written, promoted) = tokio::join!(
        async {
            let mut connection = writer.acquire().await?;
            connection
                .execute("insert into public.results (author) values ('b')")
                .await
        },
        replica.promote()
    );
    promoted.unwrap();
    written.unwrap();
    eventually("the write", async || {
        let mut admin = replica.connect("arxiv").await.unwrap();
        let rows: i64 = sqlx::query_scalar("select count(*) from results")
            .fetch_one(&mut admin)
            .await
            .unwrap();
        admin.close().await.unwrap();
        rows == 2
    })
    .await;
}

#[tokio::test]
async fn query_results_are_complete_or_none() {
    let server = Server::migrated().await;
    let (whole, half, empty, unknown) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
    let rows = format!(
        "insert into queries (query_id, query_uid, num_entries) values (1, '{whole}', 12), (2, '{half}', 2), (3, '{empty}', 0);
         insert into results (query_id, query_uid, result_number, author, title)
            select 1, '{whole}', n, 'A' || n, 'T' from generate_series(11, 0, -1) n;
         insert into results (query_id, query_uid, result_number, author) values (2, '{half}', 0, 'B');
         insert into results (query_id, author) values (1, 'other');"
    );
    server.execute("arxiv", &rows).await;
    let reads = reads(&server, None);
    for (uid, page, items, expected) in [
        (whole, 0, 5, Some(vec!["A0", "A1", "A2", "A3", "A4"])),
        (whole, 2, 5, Some(vec!["A10", "A11"])),
        (whole, 3, 5, Some(vec![])),
        (whole, 0, 0, Some(vec![])),
        (whole, i64::MAX, 1000, Some(vec![])),
        (half, 0, 5, None),
        (empty, 0, 5, Some(vec![])),
        (unknown, 0, 5, None),
    ] {
        let read = reads.results_of(uid, page, items).await.unwrap();
        let authors = read.map(|rows| {
            rows.into_iter()
                .map(|result| result.paper.author)
                .collect::<Vec<_>>()
        });
        let expected = expected.map(|authors| authors.into_iter().map(str::to_owned).collect::<Vec<_>>());
        // This server is a primary: what it lacks is not on its way.
        assert_eq!(reads.is_without_results_of(uid).await.unwrap(), authors.is_none());
        assert_eq!(authors, expected, "{page} {items}");
    }
}

#[tokio::test]
async fn query_is_whole_or_absent_on_delayed_replica() {
    let delay = Duration::from_secs(2);
    let server = Server::migrated().await;
    let replica = server.postgres.replica().await.unwrap();
    replica
        .execute("postgres", "alter system set recovery_min_apply_delay = '2s'")
        .await
        .unwrap();
    replica.restart().await.unwrap();
    replica.wait_replayed(&server.postgres).await.unwrap();
    let url = replica.url("arxiv_ro", "arxiv_ro", "arxiv");
    let pool = storage::Pool::open(&url, &pool_settings(Access::ReadOnly)).unwrap();
    let reads = Reads::new(pool.clone(), pool, None);
    let (uid, began) = (Uuid::new_v4(), Instant::now());
    let rows = format!(
        "insert into queries (query_id, query_uid, timestamp, num_entries) values (1, '{uid}', 100, 40);
         insert into results (query_id, query_uid, result_number, author)
            select 1, '{uid}', n, 'A' || n from generate_series(0, 39) n;"
    );
    replica.pause_replay().await.unwrap();
    server.execute("arxiv", &rows).await;
    // As soon as the replica knows that there is more, what it lacks may be on its way; not before.
    eventually("that it is behind", async || {
        !reads.is_without_results_of(uid).await.unwrap()
    })
    .await;
    replica.resume_replay().await.unwrap();
    eventually("the query", async || {
        let (listed, papers) = (
            queries(&reads, 0, None).await,
            reads.results_of(uid, 0, 100).await.unwrap(),
        );
        // A query that is listed has all its papers, which are read later here.
        assert!(listed.is_empty() || papers.is_some());
        papers.inspect(|rows| assert_eq!(rows.len(), 40)).is_some()
    })
    .await;
    assert!(began.elapsed() >= delay, "it was delayed");
}

/// Connections rest between reads without being tested.
#[tokio::test]
async fn read_succeeds_when_idle_connections_broke() {
    let server = Server::migrated().await;
    let reads = reads(&server, None);
    let several = async || join_all((0..8).map(|_| reads.results_of(Uuid::nil(), 0, 10))).await;
    let readers = "select count(*) from pg_stat_activity where usename = 'arxiv_ro'";
    for _ in 0..3 {
        assert!(several().await.iter().all(Result::is_ok));
        assert!(server.value::<i64>("arxiv", readers).await > 1, "several rest");
        let cut =
            "select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity where usename = 'arxiv_ro'";
        server.value::<i64>("arxiv", cut).await;
        let read = several().await;
        assert!(read.iter().all(Result::is_ok), "{read:?}");
    }
}
