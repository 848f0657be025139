use futures::{StreamExt, future::join_all, stream};
use storage::{Ending, FailureRecord, ObjectRef, QueryIdTaken, QueryRow, Record, Records};
use uuid::Uuid;

use crate::setup::{PaperBatches, Server, Split, papers};

/// One of the name by which it is found in these tests.
pub(crate) fn object(uid: Uuid) -> ObjectRef<'static> {
    ObjectRef {
        uid,
        namespace: "science",
        name: "searched",
        search: "hash",
    }
}

pub(crate) fn record(uid: Uuid, number: i64, papers: &PaperBatches) -> Record<'_> {
    Record {
        object: object(uid),
        query_id: number,
        timestamp: 1_711_843_200,
        status: 200,
        num_results: 1234,
        query: "q=Erdős",
        papers,
        feed: None,
    }
}

pub(crate) fn recorded(outcome: Result<Ending, QueryIdTaken>) -> QueryRow {
    match outcome {
        Ok(Ending::Recorded(recorded)) => recorded,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn found(records: &Records, uid: Uuid) -> QueryRow {
    match records.find(uid).await.unwrap() {
        Some(Ending::Recorded(recorded)) => recorded,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn in_one(server: &Server) -> Records {
    Records::new(
        server.pool("arxiv_rw", "arxiv"),
        server.pool("arxiv_rw", "arxiv"),
        false,
    )
}

#[tokio::test]
async fn record_is_written_once_by_concurrent_recorders() {
    let server = Server::migrated().await;
    let uid = Uuid::new_v4();
    let papers = papers(3);
    let recorders: Vec<Records> = (0..8).map(|_| in_one(&server)).collect();
    assert_eq!(recorders[0].find(uid).await.unwrap(), None);
    // Each comes with a number of its own, as if the ledger had been lost between them.
    let records: Vec<_> = (1..=8).map(|number| record(uid, number, &papers)).collect();
    let outcomes = join_all(
        recorders
            .iter()
            .zip(&records)
            .map(|(records, record)| records.record(record)),
    )
    .await;
    let outcomes: Vec<_> = outcomes
        .into_iter()
        .map(|outcome| recorded(outcome.unwrap()))
        .collect();
    let stored = found(&recorders[0], uid).await;
    assert!(outcomes.iter().all(|outcome| *outcome == stored), "{outcomes:?}");
    assert_eq!(
        (stored.num_entries, stored.num_results, stored.query.as_str()),
        (3, 1234, "q=Erdős")
    );
    let rows = "select string_agg(format('%s %s %s %s %s', query_id, result_number, author, title, journal), '; ' order by id) from results";
    let n = stored.query_id;
    let expected = format!("{n} 0 A0 T0 J0; {n} 1 A1 T1 J1; {n} 2 A2 T2 J2");
    assert_eq!(server.value::<String>("arxiv", rows).await, expected);
    // Or a reader that leaves out young rows would see a part of them.
    let times = "select count(distinct recorded_at) from results";
    assert_eq!(server.value::<i64>("arxiv", times).await, 1);
    assert_eq!(
        server.value::<i64>("arxiv", "select count(*) from queries").await,
        1
    );
}

#[tokio::test]
async fn record_succeeds_for_many_objects_and_without_papers() {
    let server = Server::migrated().await;
    let records = in_one(&server);
    let (none, papers) = (papers(0), papers(2));
    let all: Vec<_> = (1..=50)
        .map(|n| record(Uuid::new_v4(), n, if n % 10 == 0 { &none } else { &papers }))
        .collect();
    // Twice as many as there are connections: each waits for one for a limited time.
    let mut outcomes = stream::iter(all.iter().map(|record| records.record(record))).buffer_unordered(20);
    while let Some(outcome) = outcomes.next().await {
        recorded(outcome.unwrap());
    }
    let distinct = "select count(distinct query_id) from queries where num_entries = (select count(*) from results r where r.query_uid = queries.query_uid)";
    assert_eq!(server.value::<i64>("arxiv", distinct).await, 50);
}

#[tokio::test]
async fn record_refuses_query_id_of_foreign_row() {
    let server = Server::migrated().await;
    let records = in_one(&server);
    let foreign = "
        insert into queries (query_id, query) values (1, 'theirs');
        insert into results (query_id, title) values (2, 'theirs');
        insert into queries (query_id, query, query_uid) values (3, 'theirs', '00000000-0000-0000-0000-000000000001');";
    server.execute("arxiv", foreign).await;
    let rows = "select md5((select string_agg(q::text, '' order by id) from queries q) || (select string_agg(r::text, '' order by id) from results r))";
    let before: String = server.value("arxiv", rows).await;
    let papers = papers(1);
    let uid = Uuid::new_v4();
    for number in 1..=3 {
        let outcome = records.record(&record(uid, number, &papers)).await.unwrap();
        assert_eq!(outcome, Err(QueryIdTaken), "{number}");
    }
    assert_eq!(server.value::<String>("arxiv", rows).await, before);
    assert_eq!(records.find(uid).await.unwrap(), None);
    assert_eq!(
        recorded(records.record(&record(uid, 4, &papers)).await.unwrap()).query_id,
        4
    );
}

#[tokio::test]
async fn record_is_whole_or_absent_when_server_dies() {
    let server = Server::migrated().await;
    let records = in_one(&server);
    let papers = papers(500);
    let uids: Vec<Uuid> = (0..20).map(|_| Uuid::new_v4()).collect();
    let all: Vec<_> = uids
        .iter()
        .zip(1..)
        .map(|(uid, number)| record(*uid, number, &papers))
        .collect();
    let write = join_all(all.iter().map(|record| records.record(record)));
    let kill = async {
        let some = "select count(*) from queries";
        crate::setup::eventually("the first record", async || {
            server.value::<i64>("arxiv", some).await > 0
        })
        .await;
        server.postgres.kill9().await.unwrap();
    };
    let (outcomes, ()) = tokio::join!(write, kill);
    server.postgres.start_again().await.unwrap();
    for error in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        assert!(error.is_unavailable(), "{error:?}");
    }
    let half = "select count(*) from (select query_uid from results group by 1 having count(*) <> 500) half";
    assert_eq!(server.value::<i64>("arxiv", half).await, 0);
    let orphans = "select count(*) from results r where not exists (select from queries q where q.query_uid = r.query_uid)";
    assert_eq!(server.value::<i64>("arxiv", orphans).await, 0);
    let papers_missing = "select count(*) from results r where not exists (
        select from arxiv_papers p where p.paper || 'v' || p.version = r.arxiv_id)";
    assert_eq!(server.value::<i64>("arxiv", papers_missing).await, 0);
    for record in &all {
        recorded(records.record(record).await.unwrap());
    }
    assert_eq!(
        server.value::<i64>("arxiv", "select count(*) from queries").await,
        20
    );
    assert_eq!(
        server.value::<i64>("arxiv", "select count(*) from results").await,
        10_000
    );
}

#[tokio::test]
async fn record_uses_results_of_earlier_try_when_split() {
    let split = Split::migrated().await;
    let uid = Uuid::new_v4();
    let papers = papers(3);
    let recorders: Vec<Records> = (0..8).map(|_| split.records()).collect();
    let records: Vec<_> = (1..=8).map(|number| record(uid, number, &papers)).collect();
    let outcomes = join_all(
        recorders
            .iter()
            .zip(&records)
            .map(|(records, record)| records.record(record)),
    )
    .await;
    let stored = found(&recorders[0], uid).await;
    assert!(
        outcomes
            .into_iter()
            .all(|outcome| recorded(outcome.unwrap()) == stored)
    );
    assert_eq!(split.count("select count(*) from results").await, 3);
    assert_eq!(
        split
            .count(&format!(
                "select distinct query_id from results where query_uid = '{uid}'"
            ))
            .await,
        stored.query_id
    );

    // A number of a foreign row in either table.
    split
        .results
        .execute("papers", "insert into results (query_id) values (20)")
        .await
        .unwrap();
    split
        .queries
        .execute("arxiv", "insert into queries (query_id) values (21)")
        .await;
    let other = Uuid::new_v4();
    for number in [20, 21, stored.query_id] {
        let outcome = recorders[0]
            .record(&record(other, number, &papers))
            .await
            .unwrap();
        assert_eq!(outcome, Err(QueryIdTaken), "{number}");
    }
    assert_eq!(
        split
            .count(&format!(
                "select count(*) from results where query_uid = '{other}'"
            ))
            .await,
        0
    );

    // Results that stand from a try which ended between the two servers: their number stays theirs.
    let left = format!(
        "insert into results (query_id, timestamp, result_number, author, title, journal, query_uid)
         select 30, 1, n, 'a', 't', 'j', '{other}' from generate_series(0, 4) n"
    );
    split.results.execute("papers", &left).await.unwrap();
    let taken = recorded(recorders[0].record(&record(other, 31, &papers)).await.unwrap());
    assert_eq!((taken.query_id, taken.num_entries), (30, 5));
}

#[tokio::test]
async fn sweep_deletes_only_old_results_without_query() {
    let split = Split::migrated().await;
    let records = split.records();
    let papers = papers(2);
    let [whole, old, young] = [1u128, 2, 3].map(Uuid::from_u128);
    records.record(&record(whole, 1, &papers)).await.unwrap().unwrap();
    let left = format!(
        "insert into results (query_id, result_number, query_uid, recorded_at) values
           (2, 0, '{old}', now() - interval '61 minutes'), (2, 1, '{old}', now() - interval '61 minutes'),
           (3, 0, '{young}', now()), (4, 0, null, now() - interval '1 year'), (5, 0, null, null);
         update results set recorded_at = now() - interval '2 hours' where query_uid = '{whole}'"
    );
    split.results.execute("papers", &left).await.unwrap();

    let (found, next) = records.unfinished(None, 10).await.unwrap();
    assert_eq!((found, next), (vec![old], None));
    let (_, next) = records.unfinished(None, 1).await.unwrap();
    assert_eq!(next, Some(whole));
    let (found, _) = records.unfinished(next, 1).await.unwrap();
    assert_eq!(found, [old]);

    for (uid, swept) in [(whole, 0), (young, 0), (old, 2), (old, 0), (Uuid::nil(), 0)] {
        assert_eq!(records.sweep(uid).await.unwrap(), swept, "{uid}");
    }
    assert_eq!(split.count("select count(*) from results").await, 5);
}

pub(crate) fn closing(message: &str) -> FailureRecord {
    FailureRecord {
        reason: "BrokenFeed".into(),
        message: message.into(),
        http_status: Some(502),
    }
}

/// The first writer decides how an object ends; all others get that end.
async fn ends_once(records: &Records, queries: &Server) {
    let papers = papers(2);
    let [closed, whole] = [11u128, 12].map(Uuid::from_u128);
    let first = closing("first");
    assert_eq!(
        records.write_tombstone(&object(closed), &first).await.unwrap(),
        Ending::Failed(first.clone())
    );
    assert_eq!(
        records
            .write_tombstone(&object(closed), &closing("second"))
            .await
            .unwrap(),
        Ending::Failed(first.clone())
    );
    let late = records.record(&record(closed, 11, &papers)).await.unwrap();
    assert_eq!(late, Ok(Ending::Failed(first.clone())));
    assert_eq!(records.find(closed).await.unwrap(), Some(Ending::Failed(first)));

    let stored = recorded(records.record(&record(whole, 12, &papers)).await.unwrap());
    let late = records
        .write_tombstone(&object(whole), &closing("late"))
        .await
        .unwrap();
    assert_eq!(late, Ending::Recorded(stored));
    let rows = "select count(*) from queries";
    assert_eq!(queries.value::<i64>("arxiv", rows).await, 1);
    let closings = "select count(*) from arxiv_query_tombstones";
    assert_eq!(queries.value::<i64>("arxiv", closings).await, 1);
}

#[tokio::test]
async fn object_ends_either_recorded_or_failed() {
    let server = Server::migrated().await;
    let records = in_one(&server);
    ends_once(&records, &server).await;
    assert_eq!(
        server.value::<i64>("arxiv", "select count(*) from results").await,
        2
    );

    // Both at once, many times: never both, never neither.
    let papers = papers(1);
    let uids: Vec<Uuid> = (100..140).map(Uuid::from_u128).collect();
    let outcomes = join_all(uids.iter().zip(100..).map(|(uid, number)| {
        let (records, papers) = (&records, &papers);
        async move {
            let record = record(*uid, number, papers);
            let closing = closing("raced");
            let object = object(*uid);
            let (recorded, closed) = tokio::join!(
                records.record(&record),
                records.write_tombstone(&object, &closing)
            );
            (recorded.unwrap(), closed.unwrap())
        }
    }))
    .await;
    for (recorded, closed) in &outcomes {
        assert_eq!(recorded, &Ok(closed.clone()));
    }
    let in_queries = "select count(*) from queries where query_id >= 100";
    let recorded = outcomes
        .iter()
        .filter(|(_, closed)| matches!(closed, Ending::Recorded(_)))
        .count();
    assert_eq!(
        server.value::<i64>("arxiv", in_queries).await,
        i64::try_from(recorded).unwrap()
    );

    // Old closings are forgotten, the others stay.
    let age = "update arxiv_query_tombstones set ended_at = now() - interval '7 days 1 minute'
               where query_uid = '00000000-0000-0000-0000-00000000000b'";
    server.execute("arxiv", age).await;
    assert_eq!(records.prune_tombstones().await.unwrap(), 1);
    assert_eq!(records.prune_tombstones().await.unwrap(), 0);
}

#[tokio::test]
async fn object_ends_either_recorded_or_failed_when_split() {
    let split = Split::migrated().await;
    let records = split.records();
    ends_once(&records, &split.queries).await;
    // Nothing of the late record came to the other server.
    assert_eq!(split.count("select count(*) from results").await, 2);

    // Results whose query was closed before its row came: nothing is added to them, and they are swept.
    let uid = Uuid::from_u128(13);
    let left = format!(
        "insert into results (query_id, result_number, query_uid, recorded_at)
         values (13, 0, '{uid}', now() - interval '61 minutes')"
    );
    split.results.execute("papers", &left).await.unwrap();
    records
        .write_tombstone(&object(uid), &closing("first"))
        .await
        .unwrap();
    let late = records.record(&record(uid, 13, &papers(1))).await.unwrap();
    assert_eq!(late, Ok(Ending::Failed(closing("first"))));
    assert_eq!(records.unfinished(None, 10).await.unwrap().0, [uid]);
    assert_eq!(records.sweep(uid).await.unwrap(), 1);
}

#[tokio::test]
async fn record_is_found_before_a_restore_by_names_and_search() {
    let server = Server::migrated().await;
    let records = in_one(&server);
    let papers = papers(2);
    let restored = object(Uuid::new_v4());
    assert_eq!(records.find_before_restore(&restored).await.unwrap(), None);
    let (first, last) = (Uuid::new_v4(), Uuid::new_v4());
    for (uid, number) in [(first, 1), (last, 2)] {
        recorded(records.record(&record(uid, number, &papers)).await.unwrap());
    }
    let row = found(&records, last).await;
    assert_eq!(
        records.find_before_restore(&restored).await.unwrap(),
        Some(Ending::Recorded(row))
    );
    for other in [
        ObjectRef {
            search: "another",
            ..restored
        },
        ObjectRef {
            name: "another",
            ..restored
        },
        ObjectRef {
            namespace: "another",
            ..restored
        },
    ] {
        assert_eq!(
            records.find_before_restore(&other).await.unwrap(),
            None,
            "{other:?}"
        );
    }
    // Rows from before the column, and rows of clients, are nobody's.
    server
        .execute(
            "arxiv",
            "update queries set object_search = null where query_id = 2",
        )
        .await;
    let earlier = records.find_before_restore(&restored).await.unwrap();
    assert!(matches!(earlier, Some(Ending::Recorded(row)) if row.query_id == 1));
    server
        .execute("arxiv", "update queries set query_uid = null")
        .await;
    assert_eq!(records.find_before_restore(&restored).await.unwrap(), None);
}
