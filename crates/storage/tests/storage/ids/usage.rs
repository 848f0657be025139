use storage::{Ending, Records};
use uuid::Uuid;

use crate::{
    records::objects::record,
    setup::{Server, Split, papers},
};

fn is_about(used: f64, expected: f64) -> bool {
    (used - expected).abs() < 0.001
}

#[tokio::test]
async fn id_usage_falls_when_column_and_sequence_are_wider() {
    let server = Server::migrated().await;
    let pool = server.pool("arxiv_rw", "arxiv");
    let records = Records::new(pool.clone(), pool, false);
    let used = async || records.id_usage().await.unwrap();
    assert!(is_about(used().await.results, 0.0) && is_about(used().await.queries, 0.0));
    let rows = "insert into queries (id, query_id) values (536870912, 1); insert into results (id, query_id) values (1610612736, 1)";
    server.execute("arxiv", rows).await;
    assert!(
        is_about(used().await.queries, 0.25),
        "a quarter: {:?}",
        used().await
    );
    assert!(is_about(used().await.results, 0.75));
    server
        .execute("arxiv", "alter table public.results alter column id type bigint")
        .await;
    assert!(
        is_about(used().await.results, 0.75),
        "the sequence ends where it did"
    );
    server
        .execute("arxiv", "alter sequence public.results_id_seq as bigint")
        .await;
    assert!(is_about(used().await.results, 0.0));
    // It goes on above what was the end.
    server
        .execute("arxiv", "select setval('public.results_id_seq', 3000000000)")
        .await;
    let papers = papers(3);
    let outcome = records.record(&record(Uuid::new_v4(), 2, &papers)).await.unwrap();
    assert!(matches!(outcome, Ok(Ending::Recorded(_))), "{outcome:?}");
    let last: i64 = server.value("arxiv", "select max(id) from results").await;
    assert_eq!(last, 3_000_000_003);
}

#[tokio::test]
async fn id_usage_covers_both_servers_when_split() {
    let split = Split::migrated().await;
    split
        .results
        .execute(
            "papers",
            "insert into results (id, query_id) values (1610612736, 1)",
        )
        .await
        .unwrap();
    let used = split.records().id_usage().await.unwrap();
    assert!(
        is_about(used.results, 0.75) && is_about(used.queries, 0.0),
        "{used:?}"
    );
}
