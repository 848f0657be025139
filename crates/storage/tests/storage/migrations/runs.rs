use std::sync::Mutex;

use sqlx::Connection;
use storage::{
    Access, StorageError,
    migrate::{self, MigrateSettings, RolePasswords},
    schema::{self, Need},
};

use crate::setup::{Server, pool_settings};

/// Everything that a migration may change, as text.
pub(super) const CATALOGUE: &str = "
    select string_agg(line, E'\\n' order by line) from (
      select format('%s %s %s', relkind, relname, relacl) from pg_class where relnamespace = 'public'::regnamespace
      union all select format('column %s.%s %s %s', attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull)
        from pg_attribute a join pg_class c on c.oid = attrelid where relnamespace = 'public'::regnamespace and attnum > 0
      union all select format('index %s %s', indexrelid::regclass, indisvalid) from pg_index i join pg_class c on c.oid = indexrelid
        where relnamespace = 'public'::regnamespace
      union all select format('routine %s %s', oid::regprocedure, proacl) from pg_proc where pronamespace = 'public'::regnamespace
      union all select format('schema %s', nspacl) from pg_namespace where nspname = 'public'
      union all select format('database %s', datacl) from pg_database where datname = current_database()
      union all select format('default %s', defaclacl) from pg_default_acl
      union all select format('role %s %s', rolname, rolpassword) from pg_authid where rolname like 'arxiv%') t(line)";

const NEEDS: [(&str, &str, Need); 7] = [
    ("arxiv_sequence", "arxiv_sequence", Need::Sequence),
    ("arxiv_operator", "arxiv_sequence", Need::Ledger),
    ("arxiv_upstream", "arxiv_sequence", Need::Upstream),
    ("arxiv_rw", "arxiv", Need::QueriesWrite),
    ("arxiv_rw", "arxiv", Need::ResultsWrite),
    ("arxiv_ro", "arxiv", Need::QueriesRead),
    ("arxiv_ro", "arxiv", Need::ResultsRead),
];

pub(super) async fn assert_ready(server: &Server) {
    for (user, database, need) in NEEDS {
        let pool = server.pool(user, database);
        assert_eq!(schema::check(&pool, need).await.unwrap(), None, "{user} {need:?}");
    }
}

#[tokio::test]
async fn migration_is_complete_and_second_run_changes_nothing() {
    let server = Server::empty().await;
    let owner =
        storage::Pool::open(&server.settings().queries_url, &pool_settings(Access::ReadWrite)).unwrap();
    for need in [Need::QueriesWrite, Need::ResultsRead, Need::Sequence] {
        let reason = schema::check(&owner, need).await.unwrap();
        assert_eq!(
            reason,
            Some("the database is not prepared: its migrations have not run"),
            "{need:?}"
        );
    }

    server.migrate().await;
    assert_ready(&server).await;
    let before: (String, String) = (
        server.value("arxiv", CATALOGUE).await,
        server.value("arxiv_sequence", CATALOGUE).await,
    );

    let messages = server.migrate().await;
    let after: (String, String) = (
        server.value("arxiv", CATALOGUE).await,
        server.value("arxiv_sequence", CATALOGUE).await,
    );
    assert_eq!(before, after);
    assert!(
        !messages
            .iter()
            .any(|line| line.contains("grant") || line.contains("revoke")),
        "{messages:?}"
    );

    // A user without the rights gets an error that says so.
    let reader = server.pool("arxiv_ro", "arxiv");
    let reason = schema::check(&reader, Need::QueriesWrite).await.unwrap();
    assert_eq!(
        reason,
        Some("the database user lacks rights: its migrations have not run")
    );
}

#[tokio::test]
async fn migration_succeeds_when_run_concurrently() {
    let server = Server::empty().await;
    tokio::join!(server.migrate(), server.migrate(), server.migrate());
    assert_ready(&server).await;
}

#[tokio::test]
async fn migration_succeeds_with_all_stores_in_one_database() {
    let server = Server::empty().await;
    let one = server.settings().queries_url;
    let settings = MigrateSettings {
        sequence_url: one.clone(),
        upstream_url: one.clone(),
        queries_url: one.clone(),
        results_url: one,
        ..server.settings()
    };
    migrate::run(&settings, &|_| ()).await.unwrap();
    migrate::run(&settings, &|_| ()).await.unwrap();
    for (user, _, need) in NEEDS {
        let pool = server.pool(user, "arxiv");
        assert_eq!(schema::check(&pool, need).await.unwrap(), None, "{user} {need:?}");
    }
}

#[tokio::test]
async fn migration_succeeds_with_four_databases() {
    let server = Server::empty().await;
    for database in ["d1", "d2", "d3", "d4"] {
        server.postgres.create_database(database).await.unwrap();
    }
    let url = |database| server.postgres.admin_url(database);
    let settings = MigrateSettings {
        sequence_url: url("d1"),
        upstream_url: url("d2"),
        queries_url: url("d3"),
        results_url: url("d4"),
        ..server.settings()
    };
    migrate::run(&settings, &|_| ()).await.unwrap();
    for (user, database, need) in [
        ("arxiv_operator", "d1", Need::Ledger),
        ("arxiv_upstream", "d2", Need::Upstream),
        ("arxiv_rw", "d3", Need::QueriesWrite),
        ("arxiv_ro", "d4", Need::ResultsRead),
    ] {
        assert_eq!(
            schema::check(&server.pool(user, database), need).await.unwrap(),
            None,
            "{user} {need:?}"
        );
    }
    // A user gets into no database but its own.
    let other_user = server.pool("arxiv_rw", "d1");
    let refused = schema::check(&other_user, Need::QueriesWrite).await;
    assert!(refused.is_err(), "{refused:?}");
}

#[tokio::test]
async fn migration_keeps_passwords_of_existing_users() {
    let server = Server::empty().await;
    server
        .execute("postgres", "create role arxiv_ro login password 'old'")
        .await;
    server.migrate().await;
    let reads = |password: &str| {
        let url = server.postgres.url("arxiv_ro", password, "arxiv");
        storage::Pool::open(&url, &pool_settings(Access::ReadOnly)).unwrap()
    };
    assert_eq!(
        schema::check(&reads("old"), Need::QueriesRead).await.unwrap(),
        None
    );
    let error = schema::check(&reads("arxiv_ro"), Need::QueriesRead)
        .await
        .unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
}

#[tokio::test]
async fn migration_fails_without_createrole_unless_users_exist() {
    let server = Server::empty().await;
    server
        .execute("postgres", "alter role arxiv_owner nocreaterole")
        .await;
    let error = migrate::run(&server.settings(), &|_| ()).await.unwrap_err();
    assert!(error.to_string().contains("may not create users"), "{error}");

    for user in [
        "arxiv_rw",
        "arxiv_ro",
        "arxiv_sequence",
        "arxiv_operator",
        "arxiv_upstream",
    ] {
        server
            .execute("postgres", &format!("create role {user} login password '{user}'"))
            .await;
    }
    let settings = MigrateSettings {
        passwords: RolePasswords::default(),
        ..server.settings()
    };
    migrate::run(&settings, &|_| ()).await.unwrap();
    assert_ready(&server).await;
}

#[tokio::test]
async fn migration_repairs_index_of_interrupted_build() {
    let server = Server::migrated().await;
    let name = "results_query_uid_result_number_idx";
    server.execute("arxiv", &format!("drop index {name}")).await;
    let uid = "00000000-0000-0000-0000-000000000001";
    let twice = format!("insert into results (query_uid, result_number) values ('{uid}', 1), ('{uid}', 1)");
    server.execute("arxiv", &twice).await;
    let create = format!("create unique index concurrently {name} on results (query_uid, result_number)");
    server.postgres.execute("arxiv", &create).await.unwrap_err();

    // Rows in the way are reported, not deleted.
    let error = migrate::run(&server.settings(), &|_| ()).await.unwrap_err();
    assert!(matches!(error, StorageError::Migration { .. }), "{error:?}");
    server.execute("arxiv", "delete from results").await;
    server.migrate().await;
    let valid =
        format!("select indisvalid and indisunique from pg_index where indexrelid = '{name}'::regclass");
    assert!(server.value::<bool>("arxiv", &valid).await);
    let indexes = "select count(*) from pg_indexes where tablename = 'results'";
    assert_eq!(server.value::<i64>("arxiv", indexes).await, 5);
}

/// The names of indexes for words, sorted, with whether each is complete.
async fn word_indexes(server: &Server) -> Vec<String> {
    let names =
        "select coalesce(array_agg(c.relname || case when indisvalid then '' else ' (broken)' end), '{}')
                 from pg_index join pg_class c on c.oid = indexrelid where c.relname like '%\\_words\\_%'";
    let mut names: Vec<String> = server.value("arxiv", names).await;
    names.sort();
    names
}

#[tokio::test]
async fn migration_builds_index_anew_when_its_words_changed_and_drops_the_former_one_in_the_next_run() {
    let server = Server::migrated().await;
    let present = word_indexes(&server).await;
    assert_eq!(present.len(), 3, "{present:?}");
    let of_queries = &present[1];
    assert!(of_queries.starts_with("queries_words_"), "{present:?}");
    for statement in [
        format!("drop index {of_queries}"),
        // As two earlier versions had it, and one of somebody's own.
        "create index queries_words_idx on queries using gin (to_tsvector('simple', query))".to_owned(),
        "create index queries_words_0123abcd_idx on queries using gin (to_tsvector('simple', query))"
            .to_owned(),
        "create index queries_words_of_ours_idx on queries using gin (to_tsvector('simple', query))"
            .to_owned(),
        // What an interrupted build leaves.
        format!("create index {of_queries} on queries (query)"),
        format!("update pg_index set indisvalid = false where indexrelid = '{of_queries}'::regclass"),
    ] {
        server.execute("arxiv", &statement).await;
    }

    server.migrate().await;
    let own = ["queries_words_of_ours_idx".to_owned()];
    let former = [
        "queries_words_idx".to_owned(),
        "queries_words_0123abcd_idx".to_owned(),
    ];
    let mut expected = [&present[..], &own, &former].concat();
    expected.sort();
    assert_eq!(
        word_indexes(&server).await,
        expected,
        "the former ones serve the programs of before"
    );

    let messages = server.migrate().await;
    let mut expected = [&present[..], &own].concat();
    expected.sort();
    assert_eq!(word_indexes(&server).await, expected, "{messages:?}");
}

/// ANALYZE would compute the words of 30,000 rows each time that a tenth of the rows are new.
#[tokio::test]
async fn words_of_results_and_queries_are_not_analyzed_also_in_an_index_of_an_earlier_version() {
    let server = Server::migrated().await;
    let analyzed = async || -> Vec<String> {
        for statement in [
            "insert into results (author, title, journal, categories)
               select 'Paul Erdős', 'On graphs ' || n, 'J', 'math.CO cs.DM' from generate_series(1, 100) n",
            "insert into queries (query) select 'all:graphs' || n from generate_series(1, 100) n",
            "analyze queries, results",
        ] {
            server.execute("arxiv", statement).await;
        }
        let tables =
            "select coalesce(array_agg(distinct regexp_replace(tablename, '_words_.*', '')), '{}')::text[]
            from pg_stats where tablename like '%\\_words\\_%'";
        server.value("arxiv", tables).await
    };
    assert!(analyzed().await.is_empty());
    for index in word_indexes(&server).await {
        let columns = match index.split_once("_words_") {
            Some(("results", _)) => 4,
            Some(("queries", _)) => 1,
            _ => 0,
        };
        for column in 1..=columns {
            let on = format!("alter index {index} alter column {column} set statistics -1");
            server.execute("arxiv", &on).await;
        }
    }
    assert_eq!(analyzed().await, ["queries", "results"]);
    server.migrate().await;
    server
        .execute(
            "arxiv",
            "delete from pg_statistic where starelid::regclass::text like '%\\_words\\_%'",
        )
        .await;
    assert!(analyzed().await.is_empty());
}

#[tokio::test]
async fn migration_waits_for_table_in_use_without_blocking_others() {
    let server = Server::empty().await;
    server
        .execute("arxiv", crate::migrations::adoption::EXISTING_TABLES)
        .await;
    let mut reader = server.admin("arxiv").await;
    let mut transaction = reader.begin().await.unwrap();
    sqlx::query("select from queries")
        .fetch_all(&mut *transaction)
        .await
        .unwrap();

    let (send, mut tries) = tokio::sync::mpsc::unbounded_channel();
    let messages = Mutex::new(Vec::new());
    let progress = |line: &str| {
        messages.lock().unwrap().push(line.to_owned());
        if line.contains("in use") {
            let _ = send.send(());
        }
    };
    let settings = MigrateSettings {
        queries_url: server.postgres.admin_url("arxiv"),
        results_url: server.postgres.admin_url("arxiv"),
        ..server.settings()
    };
    let migration = migrate::run(&settings, &progress);
    let release = async {
        tries.recv().await.unwrap();
        tries.recv().await.unwrap();
        // Between the tries everybody else gets through.
        server
            .execute("arxiv", "insert into queries (query_id) values (1)")
            .await;
        transaction.commit().await.unwrap();
        Ok(())
    };
    tokio::try_join!(migration, release).unwrap();
}
