//! What is sent to Postgres for one search whose page is stored, and to fetch a page: each message is a round trip.

use std::{
    fs,
    time::{Duration, Instant},
};

use futures::future::join_all;
use jiff::{Timestamp, civil::date};
use paper::PaperVersion;
use storage::{Gate, GateSettings, Ledger, PageHead, PageKey, PageVersion, Pages, RequestOutcome};
use uuid::Uuid;

use super::objects::{in_one, record, recorded};
use crate::setup::{Server, eventually, papers};

const LIMIT: Duration = Duration::from_mins(1);
/// Whether a connection still leads to a server that can be written to.
const TEST: &str = "show transaction_read_only";

/// The statements of all messages that the server has logged.
fn messages(server: &Server) -> Vec<String> {
    let log = fs::read_to_string(server.postgres.child().log()).unwrap();
    let lines = log.lines().filter(|line| line.contains("storage-tests LOG:  "));
    let messages = lines.filter_map(|line| {
        let (_, message) = line.split_once("storage-tests LOG:  ")?;
        let (kind, sql) = message.split_once(": ")?;
        (kind == "statement" || kind.starts_with("execute ")).then(|| sql.to_owned())
    });
    messages.collect()
}

async fn logging() -> Server {
    let server = Server::migrated().await;
    server
        .execute("postgres", "alter system set log_statement = 'all'")
        .await;
    server.execute("postgres", "select pg_reload_conf()").await;
    eventually("statements are logged", async || {
        server.value::<String>("postgres", "show log_statement").await == "all"
    })
    .await;
    server
}

fn key(start: u32) -> PageKey {
    PageKey {
        search: "ti:stored".into(),
        day: date(2024, 3, 31),
        start,
        count: 8,
        version: PageVersion::Newest,
    }
}

fn head() -> PageHead {
    PageHead {
        total: 2,
        title: "stored".into(),
        date: Some(Timestamp::UNIX_EPOCH),
        status: 200,
        defects: Vec::new(),
    }
}

/// Without an interval.
fn gate(server: &Server) -> Gate {
    let url = server.url("arxiv_upstream", "arxiv_sequence");
    Gate::new(GateSettings {
        interval: Duration::ZERO,
        ..GateSettings::new(url, "storage-tests".into())
    })
    .unwrap()
}

async fn store(server: &Server, pages: &Pages, key: &PageKey, papers: &[PaperVersion]) {
    let mut lease = gate(server).acquire(LIMIT).await.unwrap();
    let stored = pages.put(&mut lease, key, head(), papers.to_vec(), None);
    stored.await.unwrap();
    lease.release().await;
}

/// What was sent since so many messages, without tests and settings of connections.
fn since(server: &Server, sent: usize) -> Vec<String> {
    let mut messages = messages(server).split_off(sent);
    messages.retain(|sql| sql != TEST && !sql.starts_with("set "));
    messages
}

#[tokio::test]
async fn search_with_stored_page_takes_eight_messages_and_seven_if_its_papers_are_there() {
    let server = logging().await;
    let pages = Pages::new(server.pool("arxiv_upstream", "arxiv_sequence"));
    let ledger = Ledger::new(server.pool("arxiv_operator", "arxiv_sequence"));
    let records = in_one(&server);
    let papers = papers(2);
    let key = key(0);
    store(&server, &pages, &key, &papers).await;

    // The page; the number; begin with locks, a look, papers, results, the query, commit.
    for expected in [8, 7] {
        let sent = messages(&server).len();
        let uid = Uuid::new_v4();
        let found = pages.find(&key, true).await.unwrap().unwrap();
        assert_eq!(found.papers, Some(papers.to_vec().into()));
        assert!(found.found_at >= found.fetched_at);
        let number = ledger.assign(uid).await.unwrap();
        let outcome = records.record(&record(uid, number, &papers)).await.unwrap();
        assert_eq!(recorded(outcome).num_entries, 2);
        let messages = since(&server, sent);
        assert_eq!(messages.len(), expected, "{messages:#?}");
        assert!(
            messages[2].starts_with(
                "begin;set local plan_cache_mode = force_generic_plan;set local enable_seqscan = off;\
                 set local jit = off;select pg_advisory_xact_lock("
            ) && messages[expected - 1] == "commit",
            "{messages:#?}"
        );
    }
}

#[tokio::test]
async fn searches_that_come_together_share_their_messages() {
    let server = logging().await;
    let ledger = Ledger::new(server.pool("arxiv_operator", "arxiv_sequence"));
    let records = in_one(&server);
    let papers = papers(2);
    recorded(
        records
            .record(&record(Uuid::from_u128(99), 99, &papers))
            .await
            .unwrap(),
    );
    let uids: Vec<_> = (1..=10).map(Uuid::from_u128).collect();

    let pages = Pages::new(server.pool("arxiv_upstream", "arxiv_sequence"));
    let key = key(0);
    store(&server, &pages, &key, &papers).await;
    let sent = messages(&server).len();
    for page in join_all(uids.iter().map(|_| pages.find(&key, true))).await {
        assert_eq!(page.unwrap().unwrap().papers, Some(papers.to_vec().into()));
    }
    assert_eq!(since(&server, sent).len(), 1);

    let sent = messages(&server).len();
    let numbers = join_all(uids.iter().map(|uid| ledger.assign(*uid))).await;
    let numbers: Vec<_> = numbers.into_iter().map(Result::unwrap).collect();
    assert_eq!(since(&server, sent).len(), 1);

    let sent = messages(&server).len();
    let all: Vec<_> = uids
        .iter()
        .zip(numbers)
        .map(|(uid, number)| record(*uid, number, &papers))
        .collect();
    for outcome in join_all(all.iter().map(|record| records.record(record))).await {
        recorded(outcome.unwrap());
    }
    let messages = since(&server, sent);
    // Begin with locks, a look, results, the queries, commit.
    assert_eq!(messages.len(), 5, "{messages:#?}");
}

#[tokio::test]
async fn page_is_fetched_with_four_messages_one_after_the_other() {
    let server = logging().await;
    let pages = Pages::new(server.pool("arxiv_upstream", "arxiv_sequence"));
    let gate = gate(&server);
    let mut sent = 0;
    for start in [0, 8] {
        sent = messages(&server).len();
        let key = key(start);
        let mut lease = gate.acquire(LIMIT).await.unwrap();
        lease.slot(LIMIT).await.unwrap();
        let stored = pages.put(&mut lease, &key, head(), papers(2).to_vec(), None);
        assert_eq!(stored.await.unwrap().papers.len(), 2);
        lease
            .finish(RequestOutcome::Answered, Some(Instant::now()))
            .await
            .unwrap();
    }
    // The lock and the row; the slot; the page; how the request went, and the release.
    let messages = since(&server, sent);
    assert_eq!(messages.len(), 4, "{messages:#?}");
}

#[tokio::test]
async fn connection_of_a_writer_is_not_tested_before_each_of_many_uses() {
    let server = logging().await;
    let records = in_one(&server);
    for _ in 0..100 {
        assert_eq!(records.find(Uuid::new_v4()).await.unwrap(), None);
    }
    let messages = messages(&server);
    let tests = messages.iter().filter(|sql| *sql == TEST).count();
    assert!(messages.len() >= 100 && (1..50).contains(&tests), "{tests} tests");
}
