//! How the operator uses its databases: as its own users only, and with bounded memory when they are slow.

use crd::Phase;
use futures::future::join_all;
use std::{collections::BTreeSet, time::Duration};
use testbed::TestEnv;
use testbed::test_env::{LIMIT, search, within};
use testbed::{
    net::ProxyMode,
    stack::{Options, Server, Service},
};

const QUERIES: usize = 300;
const CLIENTS: usize = 400;
/// Every piece comes so much later, both ways, and there are dozens for one query.
const DELAY: Duration = Duration::from_millis(50);
const MEBIBYTE: u64 = 1024 * 1024;

/// A figure of `/proc/PID/status`, in bytes.
fn memory(service: &Service, name: &str) -> u64 {
    let path = format!("/proc/{}/status", service.child().pid());
    let status = std::fs::read_to_string(path).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_bounded_when_database_is_slow() {
    let env = TestEnv::start(Options {
        api_servers: vec!["all".into()],
        proxies: true,
        ..Options::operator_only()
    })
    .await;
    env.create("first", search("first")).await;
    env.finished("first").await;
    let services: Vec<&Service> = env.stack.services().collect();
    let before: Vec<u64> = services.iter().map(|service| memory(service, "VmRSS")).collect();
    let set_all = |link: ProxyMode| {
        for service in &services {
            for server in [Server::Primary, Server::Replica] {
                service.proxy(server).unwrap().set(link);
            }
        }
    };

    set_all(ProxyMode::Slow(DELAY));
    env.create_many("q", QUERIES).await;
    let api_server = &env.stack.api_servers[0];
    let paths = [
        "/results",
        "/queries?start_timestamp=1970-01-01",
        "/get-sequence",
        "/arxiv-api?title=first",
    ];
    // One for all: each would take longer to make than a server waits for a head.
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(LIMIT)
        .build()
        .unwrap();
    let calls = (0..CLIENTS).map(async |n| {
        let url = api_server.url().join(paths[n % paths.len()]).unwrap();
        client
            .get(url)
            .send()
            .await
            .map(|answer| answer.status().as_u16())
    });
    let answers = join_all(calls).await;
    // Every client is answered; a client that would wait too long gets a Retry-After.
    assert!(
        answers.iter().all(|answer| matches!(answer, Ok(200 | 503))),
        "{answers:?}"
    );
    let some = within(LIMIT, async || (finished(&env).await > 5).then_some(())).await;
    assert!(some.is_some(), "it goes on, slowly");
    let waiting = QUERIES + 1 - finished(&env).await;
    assert!(
        waiting > QUERIES / 4,
        "only {waiting} of {QUERIES} wait: this proves nothing"
    );

    set_all(ProxyMode::Open);
    let objects = env.until_in_phase(Phase::Succeeded, QUERIES + 1).await;
    env.assert_rows_of(&objects).await;
    for (service, before) in services.iter().zip(before) {
        let grown = memory(service, "VmHWM").saturating_sub(before);
        // Shown by --nocapture.
        eprintln!(
            "{}: {} MiB, at most {} MiB more",
            service.name(),
            before / MEBIBYTE,
            grown / MEBIBYTE
        );
        assert!(
            grown < 48 * MEBIBYTE,
            "{}: {} MiB more",
            service.name(),
            grown / MEBIBYTE
        );
    }
}

async fn finished(env: &TestEnv) -> usize {
    let objects = env.queries.list(&kube::api::ListParams::default()).await.unwrap();
    objects
        .items
        .iter()
        .filter(|object| object.phase().is_final())
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_connects_only_as_its_own_database_users() {
    // Nothing listens on port 1: a process that used these credentials would fail.
    let nowhere = "postgresql://u:p@127.0.0.1:1/d";
    let others = [
        "DATABASE_RO_URL",
        "DATABASE_SEQUENCE_URL",
        "DATABASE_OWNER_URL",
        "DATABASE_SEQUENCE_OWNER_URL",
    ];
    let mut options = Options::operator_only();
    options
        .environment
        .extend(others.map(|name| (name.to_owned(), nowhere.to_owned())));
    let env = TestEnv::start(options).await;
    env.create("q", search("q")).await;
    assert_eq!(env.finished("q").await.phase, Phase::Succeeded);
    let mut admin = env.primary().connect("postgres").await.unwrap();
    let users: Vec<String> = sqlx::query_scalar(
        "select distinct usename::text from pg_stat_activity
         where application_name like 'arxiv-operator%' and usename is not null",
    )
    .fetch_all(&mut admin)
    .await
    .unwrap();
    let expected = ["arxiv_operator", "arxiv_rw", "arxiv_upstream"].map(str::to_owned);
    assert_eq!(BTreeSet::from_iter(users), BTreeSet::from(expected));
}
