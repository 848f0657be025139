//! Everything goes to other servers by the very commands that docs/migrating.md shows.

use std::{env, ffi::OsString, path::Path};

use testbed::Postgres;

use crate::{
    migrations::adoption::existing,
    setup::{OWNER, Server},
};

/// What a database keeps of itself: the new one has it by its migrations.
const ITS_OWN: [&str; 6] = [
    "arxiv_gate",
    "arxiv_retention",
    "arxiv_results_epoch",
    // The new server's first settling notes that cursors of the old one go back.
    "arxiv_results_timeline_forks",
    "arxiv_results_row_counts",
    "arxiv_results_settled",
];

/// What somebody put there since the service's own rows.
const MORE: [(&str, &str); 2] = [
    (
        "arxiv",
        "insert into queries (query_id, query, query_uid, object_namespace, object_name)
             values (6999, 'ours', gen_random_uuid(), 'papers', 'knuth');
         insert into results (query_id, result_number, title, arxiv_id, categories) values (6999, 0, 'T', '2405.00001v1', 'math.CO');
         insert into arxiv_papers (paper, version, title, authors, abstract, categories, links, first_seen_at, changed_at, fetched_at,
             category_keys, words) values ('2405.00001', 1, 'T', '[]', 'A', '{math.CO}', '[]', now(), now(), now(), '{math.*}', 't');
         insert into arxiv_feeds (feed_uid, object_uid, namespace, name, title, search, initial_items, revisions, last_position, watermark)
             values ('00000000-0000-0000-0000-00000000000f', gen_random_uuid(), 'papers', 'knuth', 'Knuth', 'h', 'Skip', 'Include', 7, now());
         insert into arxiv_feed_seen values ('00000000-0000-0000-0000-00000000000f', 1, '2405.00001', 1);
         insert into arxiv_feed_items values ('00000000-0000-0000-0000-00000000000f', 7, 1, '2405.00001', 1, gen_random_uuid(), now());
         insert into arxiv_feed_runs values (gen_random_uuid(), '00000000-0000-0000-0000-00000000000f', 6999, 1, 'Complete', now());
         insert into arxiv_feed_webhooks (feed_uid, name, address) values ('00000000-0000-0000-0000-00000000000f', 'chat', 'h');
         insert into arxiv_feed_deliveries (feed_uid, webhook, first_position, last_position, recorded_at, requested_at)
             values ('00000000-0000-0000-0000-00000000000f', 'chat', 7, 7, now(), now());
         insert into arxiv_query_tombstones (query_uid, reason, message) values (gen_random_uuid(), 'Refused', 'no');",
    ),
    (
        "arxiv_sequence",
        // A number that nobody has written yet.
        "select setval('arxiv_sequence', 7000);
         insert into arxiv_ledger (uid, query_id) values (gen_random_uuid(), 6999);
         insert into arxiv_pages (search_hash, search, day, start, count, total, title, status, entries, bytes)
             values ('\\x01', 'au:knuth', current_date, 0, 8, 1, 'T', 200, '[]', 2);",
    ),
];

/// The lines of the page that copy.
fn commands() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/migrating.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once("\npg_dump ").unwrap();
    let (commands, _) = rest.split_once("\nfor url").unwrap();
    format!("pg_dump {commands}")
}

fn path() -> OsString {
    let programs = Postgres::program("pg_dump").unwrap();
    let folders = env::var_os("PATH").unwrap_or_default();
    let own = [programs.parent().unwrap().to_owned()];
    env::join_paths(own.into_iter().chain(env::split_paths(&folders))).unwrap()
}

async fn copy(old: &Server, new: &Server) {
    let url = |server: &Server, database: &str| server.postgres.url(OWNER, "owner", database);
    let output = tokio::process::Command::new("sh")
        .args(["-e", "-c", &commands()])
        .env("PATH", path())
        .env("OLD", url(old, "arxiv"))
        .env("OLD_SEQUENCE", url(old, "arxiv_sequence"))
        .env("NEW", url(new, "arxiv"))
        .env("NEW_SEQUENCE", url(new, "arxiv_sequence"))
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

/// The tables of a database that have anything to move.
async fn tables(server: &Server, database: &str) -> Vec<String> {
    let names: String = server
        .value(
            database,
            "select string_agg(relname, ' ') from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')",
        )
        .await;
    let moved = |name: &&str| !name.starts_with("arxiv_migrations_") && !ITS_OWN.contains(name);
    names.split(' ').filter(moved).map(str::to_owned).collect()
}

#[tokio::test]
async fn documented_commands_move_all_data_to_other_servers() {
    let old = existing("smallint").await;
    old.migrate().await;
    for (database, rows) in MORE {
        old.execute(database, rows).await;
    }
    let new = Server::migrated().await;
    copy(&old, &new).await;

    let mut moved = Vec::new();
    for database in ["arxiv", "arxiv_sequence"] {
        for table in tables(&old, database).await {
            // Columns may stand in another order.
            let content = format!(
                "select count(*) || ' ' || md5(string_agg(to_jsonb(t)::text, '|' order by to_jsonb(t)::text)) from {table} t"
            );
            let before: String = old.value(database, &content).await;
            let after: String = new.value(database, &content).await;
            assert_eq!(before, after, "{table}");
            moved.push(table);
        }
    }
    moved.sort();
    let known = [
        "arxiv_feed_deliveries",
        "arxiv_feed_items",
        "arxiv_feed_runs",
        "arxiv_feed_seen",
        "arxiv_feed_webhooks",
        "arxiv_feeds",
        "arxiv_installation",
        "arxiv_ledger",
        "arxiv_pages",
        "arxiv_papers",
        "arxiv_query_tombstones",
        "queries",
        "results",
    ];
    assert_eq!(moved, known, "a new table: is it in the page's commands?");

    // It can be migrated again, and ids and numbers go on.
    new.migrate().await;
    let number: i64 = new
        .value("arxiv_sequence", "select nextval('arxiv_sequence')")
        .await;
    assert_eq!(number, 7001, "a number that was given is not given again");
    let pool = new.pool("arxiv_rw", "arxiv");
    for table in ["queries", "results"] {
        let highest: i32 = new.value("arxiv", &format!("select max(id) from {table}")).await;
        let insert = format!("insert into {table} (query_id) values (7001) returning id");
        let id: i32 = sqlx::query_scalar(sqlx::AssertSqlSafe(insert))
            .fetch_one(&mut *pool.acquire().await.unwrap())
            .await
            .unwrap();
        assert!(id > highest, "{table}: {id} after {highest}");
    }
}
