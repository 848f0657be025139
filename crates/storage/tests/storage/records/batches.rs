//! Records that are written together, and what keeps one of them from the others.

use std::pin::Pin;

use futures::{FutureExt, future::join_all};
use jiff::{Timestamp, ToSpan};
use sqlx::{Connection, PgConnection};
use storage::{Ending, PaperBatch, QueryIdTaken, QueryRow, Record, Records, StorageError};
use tokio::sync::Notify;
use uuid::Uuid;

use super::objects::{closing, found, in_one, object, record, recorded};
use crate::setup::{PaperBatches, Server, Split, eventually, papers};

type Outcome = Result<Result<Ending, QueryIdTaken>, StorageError>;

/// Holds the locks of these uids, each of which has four bytes.
async fn hold(server: &Server, database: &str, uids: &[u32]) -> PgConnection {
    let mut holder = server.admin(database).await;
    for uid in uids {
        let lock = sqlx::query("select pg_advisory_lock(0, $1)").bind(uid.cast_signed());
        lock.execute(&mut holder).await.unwrap();
    }
    holder
}

/// Waits until a session waits for a lock.
async fn waiting(server: &Server) {
    eventually("a session waits for a lock", async || {
        let count = "select count(*) from pg_locks where not granted";
        server.value::<i64>("arxiv", count).await > 0
    })
    .await;
}

/// The record of the object whose uid is this number.
fn numbered(number: i64, papers: &PaperBatches) -> Record<'_> {
    let uid = Uuid::from_u128(number.unsigned_abs().into());
    record(uid, number, papers)
}

/// Records these objects together.
async fn together(server: &Server, batch: &[Record<'_>]) -> Vec<Outcome> {
    let records = in_one(server);
    join_all(batch.iter().map(|record| records.record(record))).await
}

/// A record that has begun, alone: it waits for its lock, which is held.
async fn begun<'a>(
    server: &Server,
    records: &'a Records,
    record: &'a Record<'_>,
) -> Pin<Box<impl Future<Output = Outcome> + 'a>> {
    let mut begun = Box::pin(records.record(record));
    tokio::select! {
        outcome = &mut begun => panic!("{outcome:?}"),
        () = waiting(server) => begun,
    }
}

/// Two objects that have ended, one of them recorded with this record, the other one failed; the row of the first.
async fn ended_before(records: &Records, first: &Record<'_>, failed: Uuid) -> QueryRow {
    let row = recorded(records.record(first).await.unwrap());
    records
        .write_tombstone(&object(failed), &closing("earlier"))
        .await
        .unwrap();
    row
}

/// Records the objects by two operators at once, the second of which has them in the reverse order: both find the same.
async fn by_both(operators: &[Records; 2], batch: &[Record<'_>]) {
    let [first, second] = operators;
    let (first, mut second) = tokio::join!(
        join_all(batch.iter().map(|record| first.record(record))),
        join_all(batch.iter().rev().map(|record| second.record(record))),
    );
    second.reverse();
    for (first, second) in first.into_iter().zip(second) {
        assert_eq!(recorded(first.unwrap()), recorded(second.unwrap()));
    }
}

/// Deadlocks of a server.
const DEADLOCKS: &str = "select sum(deadlocks)::bigint from pg_stat_database";
/// The transactions that have written rows of objects after the first one.
const TRANSACTIONS: &str = "select count(distinct xmin::text) from queries where query_id > 1";

#[tokio::test]
async fn records_that_come_together_are_one_transaction() {
    let server = Server::migrated().await;
    let papers = papers(2);
    let batch: Vec<_> = (3..=12)
        .map(|number| record(Uuid::new_v4(), number, &papers))
        .collect();
    let outcomes = together(&server, &batch).await;
    for (record, outcome) in batch.iter().zip(outcomes) {
        let row = recorded(outcome.unwrap());
        assert_eq!((row.query_id, row.num_entries), (record.query_id, 2));
        assert_eq!(row, found(&in_one(&server), record.object.uid).await);
    }
    assert_eq!(server.value::<i64>("arxiv", TRANSACTIONS).await, 1);
    let rows = "select string_agg(concat_ws(' ', query_id, result_number, title), '; ' order by id) from results where query_id in (3, 4)";
    assert_eq!(
        server.value::<String>("arxiv", rows).await,
        "3 0 T0; 3 1 T1; 4 0 T0; 4 1 T1"
    );
    let times = "select count(distinct recorded_at) from results where query_id > 1";
    assert_eq!(server.value::<i64>("arxiv", times).await, 1);
}

#[tokio::test]
async fn object_that_is_not_new_is_recorded_alone() {
    let server = Server::migrated().await;
    let (records, none, papers) = (in_one(&server), papers(0), papers(2));
    let [ended, failed, half] = [20u128, 21, 22].map(Uuid::from_u128);
    let earlier = ended_before(&records, &record(ended, 90, &none), failed).await;
    let rows = format!(
        "insert into results (query_id, result_number, query_uid) values (22, 0, '{half}');
         insert into queries (query_id, query) values (30, 'theirs');
         insert into results (query_id, title) values (31, 'theirs');
         insert into queries (query_id, query, query_uid) values (32, 'theirs', '00000000-0000-0000-0000-000000000063')"
    );
    server.execute("arxiv", &rows).await;
    let twice = record(Uuid::from_u128(40), 40, &papers);
    let batch = [
        record(ended, 20, &papers),
        record(failed, 21, &papers),
        record(half, 22, &papers),
        record(Uuid::from_u128(30), 30, &papers),
        record(Uuid::from_u128(31), 31, &papers),
        record(Uuid::from_u128(32), 32, &papers),
        twice,
        record(Uuid::from_u128(41), 41, &papers),
        twice,
        record(Uuid::from_u128(42), 41, &papers),
    ];
    let outcomes: Vec<_> = together(&server, &batch)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(outcomes[0], Ok(Ending::Recorded(earlier)));
    assert_eq!(outcomes[1], Ok(Ending::Failed(closing("earlier"))));
    assert_eq!(recorded(outcomes[2].clone()).num_entries, 1);
    assert!(outcomes[3..6].iter().all(|outcome| *outcome == Err(QueryIdTaken)));
    assert_eq!(recorded(outcomes[6].clone()).query_id, 40);
    assert_eq!(outcomes[6], outcomes[8]);
    assert_eq!(recorded(outcomes[7].clone()).query_id, 41);
    assert_eq!(outcomes[9], Err(QueryIdTaken));
    let rows = "select count(*) from results where query_id in (40, 41)";
    assert_eq!(server.value::<i64>("arxiv", rows).await, 4);
    let transactions = "select count(distinct xmin::text) from queries where query_id in (40, 41)";
    assert_eq!(server.value::<i64>("arxiv", transactions).await, 1);
}

#[tokio::test]
async fn record_that_the_database_refuses_fails_alone() {
    let server = Server::migrated().await;
    let papers = papers(1);
    let mut batch: Vec<_> = (3..=8)
        .map(|number| record(Uuid::new_v4(), number, &papers))
        .collect();
    batch[2].query = "a\0b";
    let outcomes = together(&server, &batch).await;
    for (index, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Err(error) => assert!(index == 2 && error.is_invalid_value(), "{index}: {error:?}"),
            Ok(outcome) => assert_eq!(recorded(outcome).query_id, batch[index].query_id),
        }
    }
    let rows = "select count(*) from queries";
    assert_eq!(server.value::<i64>("arxiv", rows).await, 5);
}

#[tokio::test]
async fn paper_that_several_records_have_is_that_of_the_newest_answer() {
    let server = Server::migrated().await;
    let answer = |minute: i64, ids: &[(&str, &str)]| PaperBatch {
        papers: ids
            .iter()
            .map(|(id, title)| paper::PaperVersion {
                id: paper::PaperId::of_entry(id),
                title: (*title).to_owned(),
                ..paper::PaperVersion::default()
            })
            .collect::<Vec<_>>()
            .into(),
        fetched_at: Timestamp::UNIX_EPOCH + minute.minutes(),
    };
    // One is there from a later answer, one from an earlier one.
    let none = PaperBatches(Vec::new());
    let there = answer(5, &[("2405.00001v1", "there")]);
    let first = Record {
        papers: &there,
        ..record(Uuid::new_v4(), 90, &none)
    };
    recorded(in_one(&server).record(&first).await.unwrap());
    let answers = [
        answer(7, &[("2405.00002v1", "seventh"), ("2405.00001v1", "seventh")]),
        answer(9, &[("2405.00003v1", "ninth"), ("2405.00002v1", "ninth")]),
        answer(
            8,
            &[
                ("2405.00002v1", "eighth"),
                ("2405.00003v1", "eighth"),
                ("2405.00004v1", "eighth"),
            ],
        ),
        answer(4, &[("2405.00001v1", "fourth")]),
    ];
    let batch: Vec<_> = answers
        .iter()
        .zip(3..)
        .map(|(papers, number)| Record {
            papers,
            ..record(Uuid::new_v4(), number, &none)
        })
        .collect();
    for outcome in together(&server, &batch).await {
        recorded(outcome.unwrap());
    }
    assert_eq!(server.value::<i64>("arxiv", TRANSACTIONS).await, 2);
    let rows = "select string_agg(paper || ' ' || title || ' ' || extract(minute from fetched_at at time zone 'utc'), '; ' order by paper)
                from arxiv_papers";
    assert_eq!(
        server.value::<String>("arxiv", rows).await,
        "2405.00001 seventh 7; 2405.00002 ninth 9; 2405.00003 ninth 9; 2405.00004 eighth 8"
    );
    // Each search has the papers of its own answer.
    let own = "select string_agg(title, ' ' order by query_id, result_number) from results where query_id between 3 and 6";
    assert_eq!(
        server.value::<String>("arxiv", own).await,
        "seventh seventh ninth ninth eighth eighth eighth fourth"
    );
}

#[tokio::test]
async fn two_operators_record_the_same_objects_once_and_without_deadlocks() {
    let server = Server::migrated().await;
    let operators = [in_one(&server), in_one(&server)];
    let papers = papers(2);
    for round in 0..30_u128 {
        let uids: Vec<_> = (0..12)
            .map(|n| Uuid::from_u128((round * 12 + n) << 64 | n))
            .collect();
        let batch: Vec<_> = uids
            .iter()
            .zip(i64::try_from(round * 12).unwrap() + 1..)
            .map(|(uid, number)| record(*uid, number, &papers))
            .collect();
        by_both(&operators, &batch).await;
    }
    let rows = "select count(*) from queries where 2 = (select count(*) from results r where r.query_uid = queries.query_uid)";
    assert_eq!(server.value::<i64>("arxiv", rows).await, 360);
    assert_eq!(
        server.value::<i64>("arxiv", "select count(*) from results").await,
        720
    );
    assert_eq!(server.value::<i64>("arxiv", DEADLOCKS).await, 0);
}

#[tokio::test]
async fn records_of_a_batch_do_not_depend_on_their_callers() {
    let server = Server::migrated().await;
    let (records, papers) = (in_one(&server), papers(1));
    let all: Vec<_> = (1..=5).map(|number| numbered(number, &papers)).collect();
    let holder = hold(&server, "arxiv", &[3]).await;
    let (leave, has_left) = (Notify::new(), Notify::new());
    let others = join_all(all[..4].iter().map(|record| records.record(record)));
    let fifth = async {
        tokio::select! {
            biased;
            outcome = records.record(&all[4]) => panic!("{outcome:?}"),
            () = leave.notified() => has_left.notify_one(),
        }
    };
    let steps = async {
        waiting(&server).await;
        leave.notify_one();
        has_left.notified().await;
        holder.close().await.unwrap();
    };
    let (outcomes, (), ()) = tokio::join!(others, fifth, steps);
    for (outcome, number) in outcomes.into_iter().zip(1..) {
        assert_eq!(recorded(outcome.unwrap()).query_id, number);
    }
    assert_eq!(found(&records, Uuid::from_u128(5)).await.query_id, 5);
}

#[tokio::test]
async fn caller_that_gives_up_leaves_its_place_to_others() {
    let server = Server::migrated().await;
    let (records, papers) = (in_one(&server), papers(1));
    let all: Vec<_> = (1..=6).map(|number| numbered(number, &papers)).collect();
    let holder = hold(&server, "arxiv", &[1]).await;
    let first = begun(&server, &records, &all[0]).await;
    let mut second = Box::pin(records.record(&all[1]));
    assert!((&mut second).now_or_never().is_none());
    let others = join_all(all[2..].iter().map(|record| records.record(record)));
    let give_up = async {
        // One that waits for its turn, and one that has it.
        drop(second);
        drop(first);
    };
    let (outcomes, ()) = tokio::join!(others, give_up);
    for (outcome, number) in outcomes.into_iter().zip(3..) {
        assert_eq!(recorded(outcome.unwrap()).query_id, number);
    }
    assert_eq!(records.find(Uuid::from_u128(2)).await.unwrap(), None);
    holder.close().await.unwrap();
}

#[tokio::test]
async fn record_that_hangs_does_not_hold_up_others() {
    let server = Server::migrated().await;
    let (records, papers) = (in_one(&server), papers(1));
    let all: Vec<_> = (1..=6).map(|number| numbered(number, &papers)).collect();
    let holder = hold(&server, "arxiv", &[1]).await;
    let hangs = begun(&server, &records, &all[0]).await;
    let others = join_all(all[1..].iter().map(|record| records.record(record)));
    for outcome in others.await {
        recorded(outcome.unwrap());
    }
    holder.close().await.unwrap();
    recorded(hangs.await.unwrap());
}

#[tokio::test]
async fn records_that_come_together_have_their_results_first_when_split() {
    let split = Split::migrated().await;
    let (records, papers) = (split.records(), papers(2));
    let [ended, failed, half] = [20u128, 21, 22].map(Uuid::from_u128);
    let earlier = ended_before(&records, &record(ended, 90, &papers), failed).await;
    let results = format!(
        "insert into results (query_id, result_number, query_uid) values (22, 0, '{half}');
         insert into results (query_id, title) values (31, 'theirs')"
    );
    split.results.execute("papers", &results).await.unwrap();
    let queries = "insert into queries (query_id, query) values (30, 'theirs')";
    split.queries.execute("arxiv", queries).await;
    let batch = [
        record(ended, 20, &papers),
        record(failed, 21, &papers),
        record(half, 22, &papers),
        numbered(30, &papers),
        numbered(31, &papers),
        numbered(40, &papers),
        numbered(41, &papers),
    ];
    let all = join_all(batch.iter().map(|record| records.record(record)));
    let outcomes: Vec<_> = all.await.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes[0], Ok(Ending::Recorded(earlier)));
    assert_eq!(outcomes[1], Ok(Ending::Failed(closing("earlier"))));
    assert_eq!(recorded(outcomes[2].clone()).num_entries, 1);
    assert_eq!(outcomes[3..5], [const { Err(QueryIdTaken) }; 2]);
    for (outcome, number) in outcomes[5..].iter().zip(40..) {
        let row = recorded(outcome.clone());
        assert_eq!((row.query_id, row.num_entries), (number, 2));
    }
    let together = "select count(distinct xmin::text) from queries where query_id in (40, 41)";
    assert_eq!(split.queries.value::<i64>("arxiv", together).await, 1);
    assert_eq!(split.count(&together.replace("queries", "results")).await, 1);
    // Nothing of those that were not recorded.
    let rows = "select count(*) from results where query_id in (20, 21, 30, 31) and query_uid is not null";
    assert_eq!(split.count(rows).await, 0);
}

#[tokio::test]
async fn two_operators_record_the_same_objects_once_when_split() {
    let split = Split::migrated().await;
    let operators = [split.records(), split.records()];
    let papers = papers(2);
    for round in 0..15_i64 {
        let batch: Vec<_> = (1..=12).map(|n| numbered(round * 12 + n, &papers)).collect();
        by_both(&operators, &batch).await;
    }
    assert_eq!(split.count("select count(*) from results").await, 360);
    let rows = "select count(*) from queries";
    assert_eq!(split.queries.value::<i64>("arxiv", rows).await, 180);
    assert_eq!(split.queries.value::<i64>("arxiv", DEADLOCKS).await, 0);
    assert_eq!(split.count(DEADLOCKS).await, 0);
}
