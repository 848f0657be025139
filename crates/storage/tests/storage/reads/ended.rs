use storage::{EndedQuery, Ending, ObjectRef, Reads, Record};
use uuid::Uuid;

use crate::{
    records::objects::{closing, found, in_one, record, recorded},
    setup::{Server, papers},
};

fn reads(server: &Server) -> Reads {
    let pool = server.pool("arxiv_ro", "arxiv");
    Reads::new(pool.clone(), pool, None)
}

/// An end that was just recorded.
fn is_fresh(ended: &EndedQuery) {
    let age = jiff::Timestamp::now().duration_since(ended.recorded_at.unwrap());
    assert!(age.as_secs().abs() < 60, "{age:?}");
}

#[tokio::test]
async fn ended_query_is_found_by_object_name() {
    let server = Server::migrated().await;
    let records = in_one(&server);
    let reads = reads(&server);
    let papers = papers(2);
    let object = |uid, namespace| ObjectRef {
        uid,
        namespace,
        name: "searched",
        search: "hash",
    };
    let [earlier, later, elsewhere] =
        [(9, "science"), (3, "science"), (4, "arts")].map(|(number, namespace)| {
            let uid = Uuid::new_v4();
            let record = Record {
                object: object(uid, namespace),
                ..record(uid, number, &papers)
            };
            (uid, record)
        });
    for (_, record) in [&earlier, &later, &elsewhere] {
        recorded(records.record(record).await.unwrap());
    }
    let ended = reads.ended("science", "searched").await.unwrap().unwrap();
    let row = found(&records, later.0).await;
    assert_eq!(
        (ended.uid, &ended.ending),
        (later.0, &Ending::Recorded(row.clone()))
    );
    is_fresh(&ended);
    let ended = reads.ended("arts", "searched").await.unwrap().unwrap();
    assert_eq!(ended.uid, elsewhere.0);
    assert_eq!(reads.ended("arts", "never").await.unwrap(), None);

    // The name was used once more, for one that failed; and then again.
    let failed = Uuid::new_v4();
    let why = closing("its answer was no feed");
    records
        .write_tombstone(&object(failed, "science"), &why)
        .await
        .unwrap();
    let ended = reads.ended("science", "searched").await.unwrap().unwrap();
    assert_eq!((ended.uid, &ended.ending), (failed, &Ending::Failed(why)));
    is_fresh(&ended);
    assert_eq!(
        reads.ended("arts", "searched").await.unwrap().unwrap().uid,
        elsewhere.0
    );
    let last = Uuid::new_v4();
    let again = Record {
        object: object(last, "science"),
        ..record(last, 10, &papers)
    };
    recorded(records.record(&again).await.unwrap());
    assert_eq!(
        reads.ended("science", "searched").await.unwrap().unwrap().uid,
        last
    );

    // The existing service knows no names.
    server
        .execute(
            "arxiv",
            "insert into queries (query_id, query) values (50, 'theirs')",
        )
        .await;
    assert_eq!(reads.ended("", "").await.unwrap(), None);
}

#[tokio::test]
async fn ended_query_is_not_found_after_retention() {
    let server = Server::migrated().await;
    let records = in_one(&server);
    let reads = reads(&server);
    let failed = crate::records::objects::object(Uuid::new_v4());
    records
        .write_tombstone(&failed, &closing("gone soon"))
        .await
        .unwrap();
    assert!(
        reads
            .ended(failed.namespace, failed.name)
            .await
            .unwrap()
            .is_some()
    );
    let age = "update arxiv_query_tombstones set ended_at = now() - interval '7 days 1 minute'";
    server.execute("arxiv", age).await;
    assert_eq!(records.prune_tombstones().await.unwrap(), 1);
    assert_eq!(reads.ended(failed.namespace, failed.name).await.unwrap(), None);

    // A record that was removed for its age is closed in its place, and has not failed.
    let uid = Uuid::new_v4();
    recorded(records.record(&record(uid, 1, &papers(1))).await.unwrap());
    let age = "set role arxiv_owner; insert into arxiv_retention (days) values (1);
               update queries set recorded_at = now() - interval '2 days'";
    server.execute("arxiv", age).await;
    assert_eq!(records.expire().await.unwrap(), 1);
    assert!(matches!(
        records.find(uid).await.unwrap(),
        Some(Ending::Failed(_))
    ));
    assert_eq!(reads.ended("science", "searched").await.unwrap(), None);
}
