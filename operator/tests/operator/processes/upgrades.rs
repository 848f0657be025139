//! Two versions at once: the programs of this version on the schema of the next one, as after a rollback, and this version's
//! migrations under the statements of the previous one, as during an upgrade. Both under load, without a failed request.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crd::Phase;
use futures::future::join_all;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, api::DeleteParams};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use testbed::TestEnv;
use testbed::stack::Options;
use testbed::test_env::{LIMIT, eventually, search, within};
use tokio::time::{Duration, sleep};
use uuid::Uuid;

use super::classes::CLAIM;

/// What a migration of the next version may do: it only adds.
const NEXT: &str = "
    create table public.arxiv_shelves (id bigint primary key, name text);
    grant select, insert on public.arxiv_shelves to arxiv_rw;
    alter table public.queries add column shelf bigint, add column shelved_at timestamptz default now();
    alter table public.results add column shelf bigint;
    create function public.shelves() returns bigint language sql as 'select count(*) from public.arxiv_shelves';";
const NEXT_INDEX: &str = "create index concurrently queries_shelf_idx on public.queries (shelf)";
/// In the history of each store in this database.
const NEXT_APPLIED: [&str; 2] = ["queries", "results"];

/// Back to the schema of the previous version: without what the newest migrations add.
const UNDO: &str = "
    drop table public.arxiv_feeds, public.arxiv_feed_seen, public.arxiv_feed_items, public.arxiv_feed_runs,
        public.arxiv_feed_webhooks, public.arxiv_feed_deliveries;
    drop function public.prune_feeds();
    drop table public.arxiv_installation, public.arxiv_papers;
    alter table public.queries drop column object_search;
    delete from public.arxiv_migrations_queries where version >= 4;
    delete from public.arxiv_migrations_results where version >= 4;";
/// The same for the database of the sequence.
const UNDO_SEQUENCE: &str = "
    drop function public.assign_query_ids(uuid[], integer[], integer[]);
    delete from public.arxiv_migrations_sequence where version >= 3;";
/// The newest migrations that are undone by that: bring it up to date with each release.
const NEWEST: [(&str, &str, i64); 4] = [
    ("arxiv", "arxiv_migrations_queries", 5),
    ("arxiv", "arxiv_migrations_results", 5),
    ("arxiv_sequence", "arxiv_migrations_sequence", 3),
    ("arxiv_sequence", "arxiv_migrations_upstream", 3),
];

/// Clients that send requests until they are stopped.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    sent: AtomicU64,
    failures: Mutex<Vec<String>>,
}

impl Load {
    fn note(&self, what: &str, outcome: Result<(), String>) {
        self.sent.fetch_add(1, Ordering::Relaxed);
        if let Err(why) = outcome {
            self.failures.lock().unwrap().push(format!("{what}: {why}"));
        }
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// Waits until so many further requests were answered.
    async fn until_more(&self, requests: u64) {
        let goal = self.sent.load(Ordering::Relaxed) + requests;
        eventually("requests under load", async || {
            (self.sent.load(Ordering::Relaxed) >= goal).then_some(())
        })
        .await;
    }

    /// Ends it; nothing may have failed.
    fn end(&self) {
        self.stop.store(true, Ordering::Relaxed);
        let failures = self.failures.lock().unwrap();
        let sent = self.sent.load(Ordering::Relaxed);
        assert!(failures.is_empty(), "{} of {sent}: {failures:?}", failures.len());
        println!("{sent} requests, none failed");
    }
}

/// Reads, searches and writes of clients.
async fn clients(env: &TestEnv, load: &Load) {
    let get = async |client: usize| {
        let mut round = 0_u64;
        while load.goes_on() {
            round += 1;
            let path = match round % 6 {
                0 => format!("/arxiv?title=load{client}x{}", round / 24),
                1 => "/results?items_per_page=50".to_owned(),
                2 => "/queries?start_timestamp=2024-01-01T00:00:00".to_owned(),
                3 => "/results?all=true".to_owned(),
                4 => "/get-sequence".to_owned(),
                _ => "/read-results?page=0".to_owned(),
            };
            let answer = env.http.get(env.url(&path)).send().await;
            load.note(&path, successful(answer));
        }
    };
    // As clients of the existing service: each record has a number of the sequence.
    let write = async |_client: usize| {
        while load.goes_on() {
            let number = async || {
                let answer = env.http.get(env.url("/get-sequence")).send().await.ok()?;
                answer.json::<Value>().await.ok()?["sequence"].as_i64()
            };
            let Some(number) = number().await else {
                load.note("/get-sequence", Err("no number".to_owned()));
                continue;
            };
            let body = json!({"query_id": number, "timestamp": 1_711_843_200, "status": 200, "num_results": 1,
                "num_entries": 0, "query": "theirs"});
            let request = env.http.post(env.url("/write-queries")).json(&body);
            load.note("/write-queries", successful(request.send().await));
        }
    };
    tokio::join!(join_all((0..3).map(get)), join_all((0..2).map(write)));
}

fn successful(answer: reqwest::Result<reqwest::Response>) -> Result<(), String> {
    let status = answer.map_err(|error| error.to_string())?.status();
    status
        .is_success()
        .then_some(())
        .ok_or_else(|| status.to_string())
}

async fn migrate(env: &TestEnv) {
    let program = Path::new(env!("CARGO_BIN_EXE_arxiv-operator"));
    let databases = &env.stack.databases;
    databases.migrate(program, env.stack.folder()).await.unwrap();
}

/// A load with what happens meanwhile.
async fn under_load(load: &Load, clients: impl Future<Output = ()>, steps: impl Future<Output = ()>) {
    let steps = async {
        steps.await;
        load.end();
    };
    tokio::join!(clients, steps);
}

#[tokio::test(flavor = "multi_thread")]
async fn this_version_serves_without_failure_while_the_next_one_migrates_and_is_rolled_back() {
    let env = TestEnv::start(Options::default()).await;
    env.create_many("before", 3).await;
    env.until_in_phase(Phase::Succeeded, 3).await;
    let load = Load::default();
    let steps = async {
        load.until_more(100).await;
        env.primary().execute("arxiv", NEXT).await.unwrap();
        env.primary().execute("arxiv", NEXT_INDEX).await.unwrap();
        for store in NEXT_APPLIED {
            let applied = format!(
                "insert into public.arxiv_migrations_{store} (version, description, success, checksum, execution_time)
                 values (20270101000000, 'shelves', true, '\\x00', 1)"
            );
            env.primary().execute("arxiv", &applied).await.unwrap();
        }
        load.until_more(200).await;
        // The rollback: this version's Job, and new processes of this version.
        migrate(&env).await;
        let operator = env.operator();
        operator.child().terminate(LIMIT).await.unwrap();
        operator.child().start_again().unwrap();
        operator.ready(LIMIT).await.unwrap();
        env.create("rolled-back", search("rolledback")).await;
        assert_eq!(env.finished("rolled-back").await.phase, Phase::Succeeded);
        load.until_more(200).await;
    };
    Box::pin(under_load(&load, clients(&env, &load), steps)).await;
    let kept = "select 1 from public.arxiv_shelves right join (select 1 from pg_indexes where indexname = 'queries_shelf_idx') i on true";
    env.primary().execute("arxiv", kept).await.unwrap();
}

/// The statements of the previous version: by its text, so that a change of ours is noticed.
async fn previous_version(env: &TestEnv, load: &Load) {
    let write = async || {
        let mut connection = PgConnection::connect(&env.stack.databases.rw_url())
            .await
            .unwrap();
        let mut sequence = env.primary().connect("arxiv_sequence").await.unwrap();
        while load.goes_on() {
            let number = sqlx::query_scalar::<_, i64>("select nextval('public.arxiv_sequence')");
            let number = number.fetch_one(&mut sequence).await.unwrap();
            let uid = Uuid::new_v4();
            let written = async {
                let mut transaction = connection.begin().await?;
                sqlx::query(
                    "insert into public.results (query_id, timestamp, result_number, author, title, journal, query_uid, arxiv_id,
                       categories) values ($1, 1711843200, 0, 'a', 't', '', $2, null, null)",
                )
                .bind(number)
                .bind(uid)
                .execute(&mut *transaction)
                .await?;
                sqlx::query(
                    "insert into public.queries (query_id, timestamp, status, num_results, num_entries, query, query_uid,
                       object_namespace, object_name)
                     values ($1, 1711843200, 200, 1, 1, 'q', $2, 'n', 'o') on conflict do nothing",
                )
                .bind(number)
                .bind(uid)
                .execute(&mut *transaction)
                .await?;
                transaction.commit().await
            };
            load.note("a record", written.await.map_err(|error| error.to_string()));
        }
    };
    let read = async || {
        let mut connection = PgConnection::connect(&env.stack.databases.rw_url())
            .await
            .unwrap();
        while load.goes_on() {
            let read = sqlx::query(
                "select q.query_uid, q.query_id, q.timestamp, q.status::smallint, q.num_results::integer, q.num_entries::integer,
                   q.query from public.queries q where object_name = 'o' and object_namespace = 'n' order by id desc limit 1",
            );
            let read = read.fetch_all(&mut connection).await;
            load.note("a read", read.map(drop).map_err(|error| error.to_string()));
            sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::join!(write(), read());
}

#[tokio::test(flavor = "multi_thread")]
async fn previous_version_works_without_failure_while_this_one_migrates_and_becomes_ready() {
    let env = TestEnv::start(Options::default()).await;
    for (database, table, newest) in NEWEST {
        let mut connection = env.primary().connect(database).await.unwrap();
        let found = sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(format!(
            "select max(version) from public.{table}"
        )));
        let found = found.fetch_one(&mut connection).await.unwrap();
        assert_eq!(found, newest, "{table}: bring UNDO up to date");
    }
    let leases: Api<Lease> = Api::namespaced(env.kube.clone(), env.stack.namespace());
    // Not before the operator has taken the claim of its class.
    eventually("the claim", async || leases.get_opt(CLAIM).await.unwrap()).await;
    for service in env.stack.services() {
        service.child().terminate(LIMIT).await.unwrap();
    }
    env.primary().execute("arxiv", UNDO).await.unwrap();
    env.primary()
        .execute("arxiv_sequence", UNDO_SEQUENCE)
        .await
        .unwrap();
    // It knows no claims.
    leases.delete(CLAIM, &DeleteParams::default()).await.unwrap();
    let load = Load::default();
    let steps = async {
        load.until_more(100).await;
        for service in env.stack.services() {
            service.child().start_again().unwrap();
        }
        // Pods of the new version replace none of the old ones before the migration.
        for service in env.stack.services() {
            let waits = within(LIMIT, async || {
                let (status, body) = env.get_from(service, "/readyz").await?;
                (status == 503 && body.contains("migrations have not run")).then_some(())
            });
            assert!(waits.await.is_some(), "{}", service.child().log_tail());
        }
        migrate(&env).await;
        for service in env.stack.services() {
            service.ready(LIMIT).await.unwrap();
        }
        env.create("upgraded", search("upgraded")).await;
        assert_eq!(env.finished("upgraded").await.phase, Phase::Succeeded);
        load.until_more(100).await;
    };
    Box::pin(under_load(&load, previous_version(&env, &load), steps)).await;
}
