use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use sqlx::{Connection, PgConnection};
use storage::{Records, Sequence};
use uuid::Uuid;

use crate::setup::{OWNER, Server, eventually, papers};

/// The existing service's tables, with the wider of the types that are about.
pub(crate) const EXISTING_TABLES: &str = "
    create table queries (id serial primary key, query_id bigint, timestamp bigint, status smallint,
        num_results integer, num_entries smallint, query text);
    create table results (id serial primary key, query_id bigint, timestamp bigint, result_number smallint,
        author text, title text, journal text);
    create index idx_query_timestamp on queries (timestamp);
    create index idx_query_query_id on queries (query_id);
    create index idx_result_timestamp on results (timestamp);
    create index idx_result_query_id on results (query_id);";

/// Its users and their rights: more than they need.
const EXISTING_RIGHTS: &str = "
    create role arxiv_rw login password 'arxiv_rw';
    create role arxiv_ro login password 'arxiv_ro';
    grant select, insert, update, delete on all tables in schema public to arxiv_rw;
    grant usage on all sequences in schema public to arxiv_rw, arxiv_ro;
    grant select on all tables in schema public to arxiv_ro;
    grant insert (query) on queries to arxiv_ro;
    alter default privileges in schema public grant select, insert, update, delete on tables to arxiv_rw;
    alter default privileges in schema public grant usage on sequences to arxiv_rw, arxiv_ro;";

const EXISTING_SEQUENCE: &str = "
    create sequence arxiv_sequence increment 1 start 1 minvalue 1 cache 1;
    create role arxiv_sequence login password 'arxiv_sequence';
    grant usage, select on all sequences in schema public to arxiv_sequence;";

/// Rows with duplicates and nulls, and a sequence that lags far behind them.
const EXISTING_ROWS: &str = "
    insert into queries (query_id, timestamp, status, num_results, num_entries, query)
        select n / 2, 1711843200 + n, 200, 7, 2, 'q' || n from generate_series(0, 999) n;
    insert into queries (query, num_results) values (null, null), ('', 7), ('', 7);
    insert into results (query_id, timestamp, result_number, author, title, journal)
        select n / 4, 1711843200, n % 2, 'a', 't' || n, null from generate_series(0, 3999) n;
    insert into results (query_id) values (5000), (null), (null), (9223372036854775807);";

const OLD_ROWS: &str = "
    select md5(string_agg(row::text, '|' order by row::text)) from (
        select row(id, query_id, timestamp, status::int, num_results::int, num_entries::int, query) from queries where id <= 1003
        union all select row(id, query_id, timestamp, result_number::int, author, title, journal) from results where id <= 4004) t(row)";

/// The server of an existing service. Its objects belong to `owner`.
pub(crate) async fn existing(num_results: &str) -> Server {
    let server = Server::empty().await;
    let tables = EXISTING_TABLES.replace("num_results integer", &format!("num_results {num_results}"));
    let arxiv = [
        "revoke all on database arxiv from public; grant connect on database arxiv to arxiv_owner;",
        "set role arxiv_owner;",
        &tables,
        EXISTING_RIGHTS,
        "grant connect on database arxiv to arxiv_rw, arxiv_ro;",
        EXISTING_ROWS,
    ]
    .concat();
    server.execute("arxiv", &arxiv).await;
    server
        .execute(
            "arxiv_sequence",
            &["set role arxiv_owner;", EXISTING_SEQUENCE].concat(),
        )
        .await;
    server
}

/// The existing service: takes a number, writes a query and its results, until it is stopped. Gives the numbers it wrote under.
async fn write_on(server: &Server, stop: Arc<AtomicBool>) -> Vec<i64> {
    let mut numbers = PgConnection::connect(&server.url("arxiv_sequence", "arxiv_sequence"))
        .await
        .unwrap();
    let mut writer = PgConnection::connect(&server.url("arxiv_rw", "arxiv"))
        .await
        .unwrap();
    let mut written = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let number: i64 = sqlx::query_scalar("select nextval('arxiv_sequence')")
            .fetch_one(&mut numbers)
            .await
            .unwrap();
        sqlx::query("insert into queries (query_id, timestamp, status, num_results, num_entries, query) values ($1, 1, 200, 1::smallint, 1, 'new')")
            .bind(number)
            .execute(&mut writer)
            .await
            .unwrap();
        sqlx::query("insert into results (query_id, timestamp, result_number, author, title, journal) values ($1, 1, 0, 'a', 't', 'j')")
            .bind(number)
            .execute(&mut writer)
            .await
            .unwrap();
        written.push(number);
        tokio::task::yield_now().await;
    }
    written
}

async fn is_adopted_without_loss(num_results: &str) {
    let server = Arc::new(existing(num_results).await);
    let old: String = server.value("arxiv", OLD_ROWS).await;

    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (server, stop) = (Arc::clone(&server), Arc::clone(&stop));
        async move { write_on(&server, stop).await }
    });
    let count = "select count(*) from queries where query = 'new'";
    eventually("the existing service writes", async || {
        server.value::<i64>("arxiv", count).await > 5
    })
    .await;
    server.migrate().await;
    let at_end = server.value::<i64>("arxiv", count).await;
    eventually("it goes on", async || {
        server.value::<i64>("arxiv", count).await > at_end + 5
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    let written = writer.await.unwrap();

    assert_eq!(server.value::<String>("arxiv", OLD_ROWS).await, old);
    let lost = format!(
        "select count(*) from unnest(array{written:?}::bigint[]) n where
           (select count(*) from queries where query_id = n and query = 'new') <> 1
           or not exists (select from results where query_id = n and author = 'a' and journal = 'j')"
    );
    assert_eq!(server.value::<i64>("arxiv", &lost).await, 0);
    // No number was given twice, and the sequence is above those in use (not above the absurd one).
    let mut distinct = written.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), written.len());
    let next = Sequence::new(server.pool("arxiv_sequence", "arxiv_sequence"))
        .next()
        .await
        .unwrap();
    assert!(next > 5000 && next < 1_000_000, "{next}");

    let times = "select count(*) from queries where id <= 1003 and recorded_at is not null";
    assert_eq!(server.value::<i64>("arxiv", times).await, 0);
    let times =
        "select count(*) from queries where query_id > 5000 and query = 'new' and recorded_at is null";
    assert_eq!(server.value::<i64>("arxiv", times).await, 0);
    let width = "select format_type(atttypid, null) from pg_attribute where attrelid = 'queries'::regclass and attname = 'num_results'";
    assert_eq!(server.value::<String>("arxiv", width).await, "integer");
    // Its indexes serve; no second one of the same kind.
    let indexes = "select string_agg(regexp_replace(indexname, '_[0-9a-f]{8}_', '_HASH_'), ' ' order by indexname) from pg_indexes where schemaname = 'public' and tablename = 'queries'";
    assert_eq!(
        server.value::<String>("arxiv", indexes).await,
        "idx_query_query_id idx_query_timestamp queries_object_name_idx queries_pkey queries_query_id_of_uid_idx queries_query_uid_idx \
         queries_status_timestamp_id_idx queries_words_HASH_idx"
    );

    let messages = server.migrate().await;
    assert!(
        !messages
            .iter()
            .any(|line| line.contains("adopting") || line.contains("revoke")),
        "{messages:?}"
    );
}

#[tokio::test]
async fn adoption_widens_columns_when_they_are_small() {
    is_adopted_without_loss("smallint").await;
}

#[tokio::test]
async fn adoption_keeps_columns_when_they_are_wider() {
    is_adopted_without_loss("integer").await;
}

#[tokio::test]
async fn adoption_takes_ownership_when_table_belongs_to_writer() {
    let server = existing("integer").await;
    server
        .execute(
            "arxiv",
            "alter table queries owner to arxiv_rw; alter table results owner to arxiv_rw",
        )
        .await;
    // To take over what is another's, the owner has to be a member of it (or a superuser).
    server
        .execute("postgres", &format!("grant arxiv_rw to {OWNER}"))
        .await;
    server.migrate().await;
    let owners = "select count(*) from pg_class where relname in ('queries', 'results', 'queries_id_seq') and relowner = 'arxiv_owner'::regrole";
    assert_eq!(server.value::<i64>("arxiv", owners).await, 3);
    let records = Records::new(
        server.pool("arxiv_rw", "arxiv"),
        server.pool("arxiv_rw", "arxiv"),
        false,
    );
    let papers = papers(2);
    let record = crate::records::objects::record(Uuid::new_v4(), 6000, &papers);
    records.record(&record).await.unwrap().unwrap();
}

#[tokio::test]
async fn adoption_fails_when_table_of_same_name_is_another() {
    let server = Server::empty().await;
    server
        .execute(
            "arxiv",
            "create table queries (id serial primary key, query_id text)",
        )
        .await;
    let error = storage::migrate::run(&server.settings(), &|_| ())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("query_id is text"), "{error}");
}
