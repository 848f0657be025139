use std::collections::BTreeSet;

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::adoption;

/// What may be tried on a table; `T` is its name.
const ON_TABLES: [(&str, &str); 6] = [
    ("select", "select count(*) from T"),
    ("insert", "insert into T default values"),
    ("update", "update T set C = null where false"),
    ("delete", "delete from T where false"),
    ("truncate", "truncate T"),
    ("lock", "lock table T in access exclusive mode"),
];
const ON_SEQUENCES: [(&str, &str); 3] = [
    ("nextval", "select nextval('T')"),
    ("setval", "select setval('T', 1)"),
    ("select", "select last_value from T"),
];
const ANYWHERE: [(&str, &str); 11] = [
    ("create table", "create table public.mine (x int)"),
    ("create temporary table", "create temporary table mine (x int)"),
    ("create schema", "create schema mine"),
    ("create role", "create role mine"),
    (
        "sweep",
        "select public.sweep_results('00000000-0000-0000-0000-000000000001')",
    ),
    ("prune", "select public.prune_closed_queries()"),
    ("expire", "select public.expire_queries()"),
    ("settle", "select public.settle_results()"),
    ("alter table", "alter table queries add column x int"),
    ("drop table", "drop table queries"),
    ("become the owner", "set role arxiv_owner"),
];

/// Those of them that only make sense there.
const IN_ARXIV: [&str; 6] = ["sweep", "prune", "expire", "settle", "alter table", "drop table"];

/// A database, its tables with one column of each, its sequences.
type Objects = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static [&'static str],
);

const OBJECTS: [Objects; 2] = [
    (
        "arxiv",
        &[
            ("queries", "query"),
            ("results", "title"),
            ("arxiv_closed_queries", "reason"),
            ("arxiv_retention", "days"),
            ("arxiv_results_epoch", "counted"),
            ("arxiv_results_settled", "settled_at"),
            ("arxiv_results_positions", "epoch"),
            ("private_notes", "x"),
            ("arxiv_migrations_queries", "description"),
            ("arxiv_migrations_results", "description"),
        ],
        &["queries_id_seq", "results_id_seq"],
    ),
    (
        "arxiv_sequence",
        &[
            ("arxiv_ledger", "number"),
            ("arxiv_gate", "next_slot"),
            ("arxiv_pages", "title"),
            ("arxiv_migrations_sequence", "description"),
            ("arxiv_migrations_upstream", "description"),
        ],
        &["arxiv_sequence"],
    ),
];

/// All that each user may do; everything else of the above is refused. (Whoever may update or delete may lock.)
const ALLOWED: [(&str, &str, &[&str]); 10] = [
    (
        "arxiv_rw",
        "arxiv",
        &[
            "select queries",
            "insert queries",
            "select results",
            "insert results",
            "select arxiv_closed_queries",
            "insert arxiv_closed_queries",
            "prune",
            "expire",
            "settle",
            "nextval queries_id_seq",
            "nextval results_id_seq",
            "sweep",
        ],
    ),
    (
        "arxiv_ro",
        "arxiv",
        &[
            "select queries",
            "select results",
            "select arxiv_results_epoch",
            "select arxiv_results_settled",
            "select arxiv_results_positions",
        ],
    ),
    ("arxiv_sequence", "arxiv", &[]),
    ("arxiv_operator", "arxiv", &[]),
    ("arxiv_upstream", "arxiv", &[]),
    ("arxiv_rw", "arxiv_sequence", &[]),
    ("arxiv_ro", "arxiv_sequence", &[]),
    ("arxiv_sequence", "arxiv_sequence", &["nextval arxiv_sequence"]),
    (
        "arxiv_operator",
        "arxiv_sequence",
        &[
            "nextval arxiv_sequence",
            "select arxiv_ledger",
            "lock arxiv_ledger",
            "insert arxiv_ledger",
            "update arxiv_ledger",
            "delete arxiv_ledger",
        ],
    ),
    (
        "arxiv_upstream",
        "arxiv_sequence",
        &[
            "select arxiv_gate",
            "lock arxiv_gate",
            "update arxiv_gate",
            "select arxiv_pages",
            "lock arxiv_pages",
            "insert arxiv_pages",
            "update arxiv_pages",
            "delete arxiv_pages",
        ],
    ),
];

#[tokio::test]
async fn no_user_can_do_more_than_it_needs() {
    // From the existing service's generous rights, and a few more.
    let server = adoption::existing("integer").await;
    server
        .execute(
            "arxiv",
            "set role arxiv_owner;
             create table private_notes (x int);
             grant all on private_notes to public;
             grant all on results to arxiv_ro with grant option;
             grant create, usage on schema public to public;
             grant create, temporary on database arxiv to arxiv_rw;",
        )
        .await;
    server.migrate().await;

    for (user, database, allowed) in ALLOWED {
        let connection = PgConnection::connect(&server.url(user, database)).await;
        let Ok(mut connection) = connection else {
            assert!(allowed.is_empty(), "{user} does not get into {database}");
            let refused = connection.unwrap_err();
            assert_eq!(
                refused.as_database_error().unwrap().code().unwrap(),
                "42501",
                "{user} {database}"
            );
            continue;
        };
        let mut got = BTreeSet::new();
        for (act, sql) in attempts(database) {
            if may(&mut connection, &sql).await {
                got.insert(act);
            }
        }
        let allowed: BTreeSet<String> = allowed.iter().map(|act| (*act).to_owned()).collect();
        assert_eq!(got, allowed, "{user} in {database}");
    }
}

fn attempts(database: &str) -> Vec<(String, String)> {
    let (_, tables, sequences) = OBJECTS.iter().find(|(name, ..)| *name == database).unwrap();
    let mut attempts = Vec::new();
    for (table, column) in *tables {
        for (verb, sql) in ON_TABLES {
            attempts.push((
                format!("{verb} {table}"),
                sql.replace('T', table).replace('C', column),
            ));
        }
    }
    for sequence in *sequences {
        for (verb, sql) in ON_SEQUENCES {
            attempts.push((format!("{verb} {sequence}"), sql.replace('T', sequence)));
        }
    }
    let elsewhere = ANYWHERE
        .iter()
        .filter(|(act, _)| database == "arxiv" || !IN_ARXIV.contains(act));
    attempts.extend(elsewhere.map(|(act, sql)| ((*act).to_owned(), (*sql).to_owned())));
    attempts
}

/// Whether the statement is refused for want of rights; what else may come of it does not matter.
async fn may(connection: &mut PgConnection, sql: &str) -> bool {
    let mut transaction = connection.begin().await.unwrap();
    let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(&mut *transaction)
        .await;
    transaction.rollback().await.unwrap();
    match done {
        Ok(_) => true,
        Err(error) => {
            let code = error.as_database_error().unwrap().code().unwrap();
            assert_ne!(code, "42P01", "a mistake of this test: {sql}");
            code != "42501"
        }
    }
}
