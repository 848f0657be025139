//! A program of the previous version on a schema of a later one, as after a rollback.

use sqlx::{Connection, PgConnection};
use storage::{
    StorageError, migrate,
    schema::{self, Need},
};
use uuid::Uuid;

use super::runs::{CATALOGUE, assert_ready};
use crate::setup::Server;

/// What a later version of the same major version may do: new tables with rights, new columns that may be null, other indexes.
const LATER: &str = "
    create table arxiv_shelves (id bigint primary key, name text);
    grant select, insert on arxiv_shelves to arxiv_rw;
    alter table queries add column shelf bigint;
    create index queries_shelf_idx on queries (shelf);
    drop index queries_timestamp_idx;";

fn applied(version: i64, description: &str) -> String {
    format!(
        "insert into arxiv_migrations_queries (version, description, success, checksum, execution_time)
         values ({version}, '{description}', true, '\\x00', 1)"
    )
}

#[tokio::test]
async fn migration_of_an_older_version_leaves_a_later_schema_as_it_is() {
    let server = Server::migrated().await;
    let later = format!("{LATER}; {}", applied(20_270_101_000_000, "shelves"));
    server.execute("arxiv", &later).await;
    let before: String = server.value("arxiv", CATALOGUE).await;

    let messages = server.migrate().await;
    let after: String = server.value("arxiv", CATALOGUE).await;
    assert_eq!(before, after, "{messages:?}");
    assert!(
        messages
            .iter()
            .any(|line| line.contains("a later version made the tables of Queries")),
        "{messages:?}"
    );
    assert_ready(&server).await;
    let written = "insert into queries (query_id, query_uid) values (1, $1)";
    let mut writer = PgConnection::connect(&server.url("arxiv_rw", "arxiv"))
        .await
        .unwrap();
    sqlx::query(written)
        .bind(Uuid::new_v4())
        .execute(&mut writer)
        .await
        .unwrap();
}

#[tokio::test]
async fn migration_refuses_a_schema_of_a_later_major_version() {
    let server = Server::migrated().await;
    server.execute("arxiv", &applied(40, "major 2 one table")).await;
    let before: String = server.value("arxiv", CATALOGUE).await;
    let error = migrate::run(&server.settings(), &|_| ()).await.unwrap_err();
    assert!(matches!(error, StorageError::Migration { .. }), "{error:?}");
    assert!(error.to_string().contains("major version 2"), "{error}");
    let after: String = server.value("arxiv", CATALOGUE).await;
    assert_eq!(before, after);
}

#[tokio::test]
async fn database_is_not_ready_while_a_migration_of_this_version_is_missing() {
    let server = Server::migrated().await;
    let unprepared = Some("the database is not prepared: its migrations have not run");
    for (database, user, need, undo) in [
        (
            "arxiv",
            "arxiv_rw",
            Need::QueriesWrite,
            "drop routine expire_queries()",
        ),
        (
            "arxiv",
            "arxiv_rw",
            Need::ResultsWrite,
            "drop routine sweep_results(uuid)",
        ),
        (
            "arxiv",
            "arxiv_ro",
            Need::ResultsRead,
            "drop table arxiv_results_row_counts cascade",
        ),
        (
            "arxiv_sequence",
            "arxiv_operator",
            Need::Ledger,
            "alter table arxiv_ledger drop column entered_at",
        ),
    ] {
        let pool = server.pool(user, database);
        assert_eq!(schema::check(&pool, need).await.unwrap(), None, "{need:?}");
        server.execute(database, undo).await;
        assert_eq!(schema::check(&pool, need).await.unwrap(), unprepared, "{undo}");
    }
}

#[tokio::test]
async fn migration_refuses_a_database_that_is_not_in_utf_8() {
    for encoding in ["SQL_ASCII", "LATIN1"] {
        let server = Server::empty().await;
        let make = format!(
            "create database old owner arxiv_owner encoding '{encoding}' locale 'C' template template0"
        );
        server.execute("postgres", &make).await;
        let mut settings = server.settings();
        settings.results_url = server.postgres.url("arxiv_owner", "owner", "old");
        let error = migrate::run(&settings, &|_| ()).await.unwrap_err().to_string();
        assert!(
            error.contains(&format!("the database old has the encoding {encoding}"))
                && error.contains("UTF8"),
            "{error}"
        );
    }
}
