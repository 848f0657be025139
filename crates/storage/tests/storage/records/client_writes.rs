use futures::future::join_all;
use paper::PaperVersion;
use storage::{Paper, QueryRow, Records, WriteOutcome, Writes};
use uuid::Uuid;

use crate::{
    records::objects::record,
    setup::{PaperBatches, Server, papers},
};

fn row(query_id: i64) -> QueryRow {
    QueryRow {
        query_id,
        timestamp: 1,
        status: 200,
        num_results: 7,
        num_entries: 2,
        query: "'; DROP TABLE queries; --".into(),
    }
}

fn writes(server: &Server) -> Writes {
    let pool = server.pool("arxiv_rw", "arxiv");
    Writes::new(pool.clone(), pool, false)
}

fn rows(papers: &[PaperVersion]) -> Vec<Paper> {
    papers.iter().map(Paper::from).collect()
}

#[tokio::test]
async fn client_query_is_written_once() {
    let server = Server::migrated().await;
    let writes = writes(&server);
    let other: [fn(&mut QueryRow); 5] = [
        |row| row.timestamp = 2,
        |row| row.status = 404,
        |row| row.num_results = 8,
        |row| row.num_entries = 3,
        |row| row.query = "else".into(),
    ];
    assert_eq!(writes.query(&row(9)).await.unwrap(), WriteOutcome::Written);
    assert_eq!(writes.query(&row(9)).await.unwrap(), WriteOutcome::AlreadyThere);
    for change in other {
        let mut changed = row(9);
        change(&mut changed);
        assert_eq!(
            writes.query(&changed).await.unwrap(),
            WriteOutcome::Conflict,
            "{changed:?}"
        );
    }
    assert_eq!(
        server.value::<i64>("arxiv", "select count(*) from queries").await,
        1
    );

    let outcomes = join_all((0..8).map(|_| async { writes.query(&row(10)).await.unwrap() })).await;
    assert_eq!(
        outcomes
            .iter()
            .filter(|outcome| **outcome == WriteOutcome::Written)
            .count(),
        1,
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn client_results_are_written_once() {
    let server = Server::migrated().await;
    let writes = writes(&server);
    let all = rows(&papers(3));
    let mut renamed = all.clone();
    renamed[1].title = "else".into();
    let mut turned = all.clone();
    turned.reverse();
    let cases: [(i64, &[Paper], WriteOutcome); 7] = [
        (1, &all, WriteOutcome::Written),
        (1, &all, WriteOutcome::AlreadyThere),
        (2, &all, WriteOutcome::Conflict),
        (1, &all[..2], WriteOutcome::Conflict),
        (1, &[], WriteOutcome::Conflict),
        (1, &renamed, WriteOutcome::Conflict),
        (1, &turned, WriteOutcome::Conflict),
    ];
    for (timestamp, rows, expected) in cases {
        assert_eq!(
            writes.results(9, timestamp, rows).await.unwrap(),
            expected,
            "{timestamp} {rows:?}"
        );
    }
    assert_eq!(writes.results(10, 1, &[]).await.unwrap(), WriteOutcome::Written);
    let outcomes = join_all((0..8).map(|_| async { writes.results(11, 1, &all).await.unwrap() })).await;
    assert_eq!(
        outcomes
            .iter()
            .filter(|outcome| **outcome == WriteOutcome::Written)
            .count(),
        1,
        "{outcomes:?}"
    );
    assert_eq!(
        server.value::<i64>("arxiv", "select count(*) from results").await,
        6
    );
    // What the existing service doubled is the same content still.
    let double = "insert into results (query_id, timestamp, result_number, author, title, journal)
                  select query_id, timestamp, result_number, author, title, journal from results where query_id = 9";
    server.execute("arxiv", double).await;
    assert_eq!(
        writes.results(9, 1, &all).await.unwrap(),
        WriteOutcome::AlreadyThere
    );
}

#[tokio::test]
async fn client_write_conflicts_with_query_id_of_object() {
    let server = Server::migrated().await;
    let writes = writes(&server);
    let records = Records::new(
        server.pool("arxiv_rw", "arxiv"),
        server.pool("arxiv_rw", "arxiv"),
        false,
    );
    let papers = papers(2);
    records
        .record(&record(Uuid::new_v4(), 1, &papers))
        .await
        .unwrap()
        .unwrap();
    records
        .record(&record(Uuid::new_v4(), 2, &PaperBatches(Vec::new())))
        .await
        .unwrap()
        .unwrap();
    let mut same = row(1);
    same.query = "q=Erdős".into();
    assert_eq!(writes.query(&same).await.unwrap(), WriteOutcome::Conflict);
    for number in [1, 2] {
        assert_eq!(
            writes
                .results(number, 1_711_843_200, &rows(&papers))
                .await
                .unwrap(),
            WriteOutcome::Conflict
        );
    }
    // In different databases too.
    let pool = server.pool("arxiv_rw", "arxiv");
    let apart = Writes::new(pool.clone(), pool, true);
    assert_eq!(
        apart.results(2, 1, &rows(&papers)).await.unwrap(),
        WriteOutcome::Conflict
    );
    assert_eq!(apart.query(&row(1)).await.unwrap(), WriteOutcome::Conflict);
    assert_eq!(apart.query(&row(3)).await.unwrap(), WriteOutcome::Written);
}
