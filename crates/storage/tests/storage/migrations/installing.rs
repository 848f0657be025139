//! The databases of docs/install.md, by its statements and its URLs.

use std::{collections::BTreeMap, path::Path};

use sqlx::{Connection, PgConnection};
use storage::migrate::{self, MigrateSettings, RolePasswords};
use testbed::Postgres;

fn block(language: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/install.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// The URL of each use, on this server.
fn urls(postgres: &Postgres) -> BTreeMap<String, String> {
    let here = format!("127.0.0.1:{}", postgres.port());
    let lines = block("ini")
        .replace("PASSWORD", "secret")
        .replace("postgres.example.org", &here);
    let url = |line: &str| {
        line.split_once('=')
            .map(|(name, url)| (name.to_owned(), url.to_owned()))
    };
    lines.lines().filter_map(url).collect()
}

/// As an administrator of a managed server has it: no superuser.
const ADMINISTRATOR: &str = "create role administrator login createdb createrole password 'secret'";

#[tokio::test]
async fn statements_of_the_page_make_databases_that_migrate_and_serve_each_user() {
    for managed in [false, true] {
        let postgres = Postgres::start().await.unwrap();
        let statements = block("sql").replace('…', "secret");
        // `create database` runs in no transaction, so each statement for itself.
        let statements: String = statements
            .lines()
            .map(|line| line.split("--").next().unwrap().trim())
            .collect::<Vec<_>>()
            .join(" ");
        if managed {
            postgres.execute("postgres", ADMINISTRATOR).await.unwrap();
            let url = postgres.url("administrator", "secret", "postgres");
            let mut connection = PgConnection::connect(&url).await.unwrap();
            for statement in statements.split_inclusive(';') {
                let run = sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection);
                run.await.unwrap_or_else(|error| panic!("{statement}: {error}"));
            }
        } else {
            for statement in statements.split_inclusive(';') {
                postgres.execute("postgres", statement).await.unwrap();
            }
        }
        let urls = urls(&postgres);
        assert_eq!(urls.len(), 7);
        migrate::run(&settings(&urls), &|_| {}).await.unwrap();
        for (name, query) in [
            ("readWrite", "select count(*) from queries"),
            ("readOnly", "select count(*) from results"),
            ("ledger", "select count(*) from arxiv_ledger"),
            ("sequence", "select nextval('arxiv_sequence')"),
            ("upstream", "select count(*) from arxiv_pages"),
        ] {
            let mut connection = PgConnection::connect(&urls[name]).await.unwrap();
            let answered = sqlx::query(query).fetch_one(&mut connection).await;
            answered.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}

/// No passwords: all users are there.
fn settings(urls: &BTreeMap<String, String>) -> MigrateSettings {
    MigrateSettings {
        retention_days: None,
        sequence_url: urls["sequenceOwner"].clone(),
        upstream_url: urls["sequenceOwner"].clone(),
        queries_url: urls["owner"].clone(),
        results_url: urls["owner"].clone(),
        passwords: RolePasswords {
            arxiv_rw: None,
            arxiv_ro: None,
            arxiv_sequence: None,
            arxiv_operator: None,
            arxiv_upstream: None,
        },
    }
}
