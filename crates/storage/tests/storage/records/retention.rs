use std::sync::atomic::{AtomicBool, Ordering};

use storage::{Ending, FailureRecord, Records, migrate};
use uuid::Uuid;

use crate::{
    records::objects::record,
    setup::{Server, Split, papers},
};

/// So many queries are more than go at once.
const OLD: i64 = 1_200;

async fn keep(server: &Server, days: Option<i32>) {
    let settings = migrate::MigrateSettings {
        retention_days: days,
        ..server.settings()
    };
    migrate::run(&settings, &|_| ()).await.unwrap();
}

fn in_one(server: &Server) -> Records {
    let pool = server.pool("arxiv_rw", "arxiv");
    Records::new(pool.clone(), pool, false)
}

/// Removes all there is to remove; how many.
async fn expire(records: &Records) -> usize {
    let mut all = 0;
    loop {
        match records.expire().await.unwrap() {
            0 => return all,
            some => all += some,
        }
    }
}

fn closing() -> Ending {
    Ending::Failed(FailureRecord {
        reason: "Expired".into(),
        message: "its rows were removed, as they were older than they are kept".into(),
        http_status: None,
    })
}

const AGE: &str =
    "update queries set recorded_at = now() - interval '31 days' where query_uid is null or query_id = 1;
    update results set recorded_at = now() - interval '31 days' where query_uid is null or query_id = 1";

#[tokio::test]
async fn rows_expire_at_their_age_only_when_it_is_set() {
    let server = Server::migrated().await;
    let records = in_one(&server);
    let (old, young) = (Uuid::new_v4(), Uuid::new_v4());
    let papers = papers(3);
    for (uid, number) in [(old, 1), (young, 2)] {
        records
            .record(&record(uid, number, &papers))
            .await
            .unwrap()
            .unwrap();
    }
    let others = "insert into queries (query_id, query) values (9, 'of another writer');
        insert into results (query_id, title) values (9, 'of another writer');";
    server.execute("arxiv", &format!("{others} {AGE}")).await;
    let rows = "select (select count(*) from queries) * 100 + (select count(*) from results)";

    assert_eq!(expire(&records).await, 0, "not by default");
    keep(&server, Some(32)).await;
    assert_eq!(expire(&records).await, 0, "not yet");
    keep(&server, None).await;
    keep(&server, Some(1)).await;
    keep(&server, None).await;
    assert_eq!(expire(&records).await, 0, "not any more");
    assert_eq!(server.value::<i64>("arxiv", rows).await, 307);

    keep(&server, Some(30)).await;
    assert_eq!(expire(&records).await, 1);
    assert_eq!(server.value::<i64>("arxiv", rows).await, 204, "others' rows stay");
    let papers_stay = "select count(*) from arxiv_papers";
    assert_eq!(server.value::<i64>("arxiv", papers_stay).await, 1);
    assert!(matches!(
        records.find(young).await.unwrap(),
        Some(Ending::Recorded(_))
    ));
    // A late writer records nothing.
    assert_eq!(records.find(old).await.unwrap(), Some(closing()));
    let late = records.record(&record(old, 3, &papers)).await.unwrap();
    assert!(matches!(late, Ok(Ending::Failed(_))), "{late:?}");
    assert_eq!(server.value::<i64>("arxiv", rows).await, 204);
}

#[tokio::test]
async fn expired_rows_are_removed_in_batches_and_never_half() {
    let server = Server::migrated().await;
    keep(&server, Some(30)).await;
    let fill = format!(
        "insert into queries (query_id, num_entries, query_uid, recorded_at)
           select n, 50, gen_random_uuid(), now() - interval '31 days' from generate_series(1, {OLD}) n;
         insert into results (query_id, result_number, query_uid, recorded_at)
           select query_id, r, query_uid, recorded_at from queries, generate_series(0, 49) r"
    );
    server.execute("arxiv", &fill).await;
    let records = in_one(&server);
    let gone = AtomicBool::new(false);
    let (rounds, looks) = tokio::join!(
        async {
            let mut rounds = Vec::new();
            loop {
                match records.expire().await.unwrap() {
                    0 => break,
                    some => rounds.push(some),
                }
            }
            gone.store(true, Ordering::Relaxed);
            rounds
        },
        async {
            let half = "select count(*) from (select q.query_uid, num_entries, count(r.id) from queries q
                full join results r using (query_uid) group by 1, 2 having count(r.id) is distinct from num_entries) half";
            let mut looks = 0;
            while !gone.load(Ordering::Relaxed) {
                assert_eq!(server.value::<i64>("arxiv", half).await, 0);
                looks += 1;
            }
            looks
        }
    );
    assert_eq!(rounds.iter().sum::<usize>(), usize::try_from(OLD).unwrap());
    // 10,000 results are reached with the 200th.
    assert!(rounds.iter().all(|round| *round <= 200), "{rounds:?}");
    assert!(looks > 0);
}

#[tokio::test]
async fn expired_query_is_removed_before_its_results_when_split() {
    let split = Split::migrated().await;
    let settings = migrate::MigrateSettings {
        retention_days: Some(30),
        ..split.settings()
    };
    migrate::run(&settings, &|_| ()).await.unwrap();
    let records = split.records();
    let papers = papers(3);
    let (old, young) = (Uuid::new_v4(), Uuid::new_v4());
    for (uid, number) in [(old, 1), (young, 2)] {
        records
            .record(&record(uid, number, &papers))
            .await
            .unwrap()
            .unwrap();
    }
    let (queries, results) = AGE.split_once(';').unwrap();
    split.queries.execute("arxiv", queries).await;
    split.results.execute("papers", results).await.unwrap();

    // The results' server is unavailable: the query is deleted already, and the sweeper finds its results.
    split.results.stop().await.unwrap();
    assert!(records.expire().await.unwrap_err().is_unavailable());
    split.results.start_again().await.unwrap();
    assert_eq!(records.find(old).await.unwrap(), Some(closing()));
    assert_eq!(split.count("select count(*) from results").await, 6);
    let (unfinished, _) = records.unfinished(None, 10).await.unwrap();
    assert_eq!(unfinished, [old]);
    assert_eq!(records.sweep(old).await.unwrap(), 3);

    // With both there it is one step.
    let of_young = |sql: &str| sql.replace("query_id = 1", "query_id = 2");
    split.queries.execute("arxiv", &of_young(queries)).await;
    split.results.execute("papers", &of_young(results)).await.unwrap();
    assert_eq!(expire(&records).await, 1);
    assert_eq!(split.count("select count(*) from results").await, 0);
}
