use std::collections::BTreeSet;

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::{migrations::adoption, setup::Server};

/// What may be tried on a table; `T` is its name, `C` a column.
const ON_TABLES: [(&str, &str); 11] = [
    ("select", "select count(*) from T"),
    ("insert", "insert into T default values"),
    ("update", "update T set C = null where false"),
    ("delete", "delete from T where false"),
    ("truncate", "truncate T"),
    ("lock", "lock table T in access exclusive mode"),
    (
        "trigger",
        "create trigger mine before update on T for each row execute function suppress_redundant_updates_trigger()",
    ),
    ("index", "create index on T (C)"),
    ("alter", "alter table T add column mine int"),
    ("drop", "drop table T"),
    ("copy to a program", "copy T to program 'cat'"),
];
const ON_SEQUENCES: [(&str, &str); 4] = [
    ("nextval", "select nextval('T')"),
    ("setval", "select setval('T', 1)"),
    ("select", "select last_value from T"),
    ("alter", "alter sequence T restart"),
];
const ANYWHERE: [(&str, &str); 19] = [
    ("create table", "create table public.mine (x int)"),
    ("create view", "create view public.mine as select 1"),
    ("create temporary table", "create temporary table mine (x int)"),
    ("create schema", "create schema mine"),
    (
        "create function",
        "create function public.mine() returns int language sql as 'select 1'",
    ),
    ("create extension", "create extension dblink"),
    ("create role", "create role mine"),
    ("create publication", "create publication mine for all tables"),
    ("become the owner", "set role arxiv_owner"),
    ("become a superuser", "set session authorization postgres"),
    (
        "change the owner's password",
        "alter role arxiv_owner password 'mine'",
    ),
    ("change the database", "alter database arxiv set work_mem = '1GB'"),
    (
        "change the server",
        "select set_config('log_statement', 'none', false)",
    ),
    ("read passwords", "select rolpassword from pg_authid"),
    ("read a file", "select pg_read_file('/etc/passwd')"),
    ("list a folder", "select pg_ls_dir('.')"),
    ("write a file", "select lo_export(1, '/tmp/mine')"),
    ("reload the server", "select pg_reload_conf()"),
    (
        "end others' sessions",
        "select pg_terminate_backend(pid) from pg_stat_activity where usesysid = 10",
    ),
];

/// A database, its tables with one column of each, its sequences, its functions with arguments.
type Objects = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static [&'static str],
    &'static [(&'static str, &'static str)],
);

/// Everything that there is, so that nobody makes a table without saying who may use it.
const OBJECTS: [Objects; 2] = [
    (
        "arxiv",
        &[
            ("arxiv_query_tombstones", "reason"),
            ("arxiv_papers", "comment"),
            ("arxiv_feeds", "title"),
            ("arxiv_feed_seen", "version"),
            ("arxiv_feed_items", "run_uid"),
            ("arxiv_feed_runs", "outcome"),
            ("arxiv_feed_webhooks", "address"),
            ("arxiv_feed_deliveries", "state"),
            ("arxiv_installation", "id"),
            ("arxiv_migrations_queries", "description"),
            ("arxiv_migrations_results", "description"),
            ("arxiv_results_epoch", "counted"),
            ("arxiv_results_timeline_forks", "id"),
            ("arxiv_results_row_counts", "epoch"),
            ("arxiv_results_settled", "settled_at"),
            ("arxiv_retention", "days"),
            ("private_notes", "x"),
            ("queries", "query"),
            ("results", "title"),
        ],
        &["queries_id_seq", "results_id_seq"],
        &[
            ("expire_queries", ""),
            ("prune_query_tombstones", ""),
            ("prune_feeds", ""),
            ("results_changed", ""),
            ("advance_results_watermark", ""),
            ("sweep_results", "'00000000-0000-0000-0000-000000000001'"),
        ],
    ),
    (
        "arxiv_sequence",
        &[
            ("arxiv_gate", "next_slot"),
            ("arxiv_ledger", "query_id"),
            ("arxiv_migrations_sequence", "description"),
            ("arxiv_migrations_upstream", "description"),
            ("arxiv_pages", "title"),
        ],
        &["arxiv_sequence"],
        &[("assign_query_ids", "'{}', '{}', '{}'")],
    ),
];

/// All that each user may do; everything else of the above is refused. (A user that may update or delete may lock.)
const ALLOWED: [(&str, &str, &[&str]); 10] = [
    (
        "arxiv_rw",
        "arxiv",
        &[
            "select queries",
            "insert queries",
            "select results",
            "insert results",
            "select arxiv_papers",
            "lock arxiv_papers",
            "insert arxiv_papers",
            "update arxiv_papers",
            "select arxiv_feeds",
            "lock arxiv_feeds",
            "insert arxiv_feeds",
            "update arxiv_feeds",
            "select arxiv_feed_seen",
            "insert arxiv_feed_seen",
            "select arxiv_feed_items",
            "insert arxiv_feed_items",
            "select arxiv_feed_runs",
            "insert arxiv_feed_runs",
            "select arxiv_feed_webhooks",
            "lock arxiv_feed_webhooks",
            "insert arxiv_feed_webhooks",
            "update arxiv_feed_webhooks",
            "select arxiv_feed_deliveries",
            "lock arxiv_feed_deliveries",
            "insert arxiv_feed_deliveries",
            "update arxiv_feed_deliveries",
            "call prune_feeds",
            "select arxiv_query_tombstones",
            "insert arxiv_query_tombstones",
            "select arxiv_installation",
            "call expire_queries",
            "call prune_query_tombstones",
            "call advance_results_watermark",
            "nextval queries_id_seq",
            "nextval results_id_seq",
            "call sweep_results",
        ],
    ),
    (
        "arxiv_ro",
        "arxiv",
        &[
            "select queries",
            "select arxiv_query_tombstones",
            "select results",
            "select arxiv_papers",
            "select arxiv_feeds",
            "select arxiv_feed_items",
            "select arxiv_feed_webhooks",
            "select arxiv_feed_deliveries",
            "select arxiv_results_epoch",
            "select arxiv_results_timeline_forks",
            "select arxiv_results_settled",
            "select arxiv_results_row_counts",
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
            "call assign_query_ids",
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
async fn users_have_only_the_rights_they_need() {
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

    for (database, tables, sequences, functions) in OBJECTS {
        let names = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, _)| (*name).to_owned()).collect();
        let sequences = sequences.iter().map(|name| (*name).to_owned()).collect();
        let mut known: [Vec<String>; 3] = [names(tables), sequences, names(functions)];
        for names in &mut known {
            names.sort();
        }
        assert_eq!(there_is(&server, database).await, known, "in {database}");
    }
    // Somebody whose session can be ended.
    let _session = server.admin("postgres").await;
    let (mut granted, mut refused) = (0, 0);
    for (user, database, allowed) in ALLOWED {
        let connection = PgConnection::connect(&server.url(user, database)).await;
        let Ok(mut connection) = connection else {
            assert!(allowed.is_empty(), "{user} does not get into {database}");
            let error = connection.unwrap_err();
            assert_eq!(
                error.as_database_error().unwrap().code().unwrap(),
                "42501",
                "{user} {database}"
            );
            refused += attempts(database).len();
            continue;
        };
        let mut got = BTreeSet::new();
        for (act, sql) in attempts(database) {
            if may(&mut connection, &sql).await {
                got.insert(act);
            } else {
                refused += 1;
            }
        }
        let allowed: BTreeSet<String> = allowed.iter().map(|act| (*act).to_owned()).collect();
        assert_eq!(got, allowed, "{user} in {database}");
        granted += got.len();
    }
    // Shown by --nocapture.
    eprintln!("rights of database users: {granted} granted, {refused} refused");
    let privileged: i64 = server
        .value(
            "postgres",
            "select count(*) from pg_roles where rolname like 'arxiv%' and rolname <> 'arxiv_owner'
             and (rolsuper or rolcreatedb or rolcreaterole or rolreplication or rolbypassrls)",
        )
        .await;
    assert_eq!(privileged, 0);
}

/// The tables (and what is read like one), sequences and functions of a database, outside of the server's own schemas.
async fn there_is(server: &Server, database: &str) -> [Vec<String>; 3] {
    let elsewhere = "n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')";
    let relations = |kinds: &str| {
        format!(
            "select coalesce(array_agg(c.relname::text order by c.relname), '{{}}') from pg_class c
             join pg_namespace n on n.oid = c.relnamespace where {elsewhere} and c.relkind in ({kinds})"
        )
    };
    let functions = format!(
        "select coalesce(array_agg(p.proname::text order by p.proname), '{{}}') from pg_proc p
         join pg_namespace n on n.oid = p.pronamespace where {elsewhere}"
    );
    [
        server
            .value(database, &relations("'r', 'p', 'v', 'm', 'f'"))
            .await,
        server.value(database, &relations("'S'")).await,
        server.value(database, &functions).await,
    ]
}

fn attempts(database: &str) -> Vec<(String, String)> {
    let (_, tables, sequences, functions) = OBJECTS.iter().find(|(name, ..)| *name == database).unwrap();
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
    for (function, arguments) in *functions {
        attempts.push((
            format!("call {function}"),
            format!("select public.{function}({arguments})"),
        ));
    }
    attempts.extend(ANYWHERE.map(|(act, sql)| (act.to_owned(), sql.to_owned())));
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
