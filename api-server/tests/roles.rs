//! A process uses the credentials of what it serves, whatever else it is given.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use sqlx::AssertSqlSafe;
use std::collections::BTreeSet;
use testbed::test_env::{LIMIT, ServerOnly, eventually, http_client};
use testbed::{Stack, stack::Options};

/// Each endpoint, the settings that it needs, the database users that it connects as, and a request that uses them.
const ROLES: [(&str, &[&str], &[&str], &str); 9] = [
    ("arxiv", &["KUBECONFIG", "NAMESPACE"], &[], "/arxiv/none"),
    (
        "queries",
        &["DATABASE_RO_URL"],
        &["arxiv_ro"],
        "/queries?start_timestamp=2024-01-01",
    ),
    ("results", &["DATABASE_RO_URL"], &["arxiv_ro"], "/results"),
    (
        "arxiv-api",
        &["DATABASE_UPSTREAM_URL"],
        &["arxiv_upstream"],
        "/arxiv-api?title=x",
    ),
    (
        "get-sequence",
        &["DATABASE_SEQUENCE_URL"],
        &["arxiv_sequence"],
        "/get-sequence",
    ),
    (
        "read-queries",
        &["DATABASE_RO_URL"],
        &["arxiv_ro"],
        "/read-queries?start_timestamp=0",
    ),
    (
        "read-results",
        &["DATABASE_RO_URL"],
        &["arxiv_ro"],
        "/read-results",
    ),
    (
        "write-queries",
        &["DATABASE_RW_URL"],
        &["arxiv_rw"],
        "/write-queries",
    ),
    (
        "write-results",
        &["DATABASE_RW_URL"],
        &["arxiv_rw"],
        "/write-results",
    ),
];

/// All credentials that there are, as environment variables.
struct Given {
    settings: Vec<(&'static str, String)>,
}

impl Given {
    fn of(stack: &Stack) -> Self {
        let databases = &stack.databases;
        let kubeconfig = stack.control_plane().admin_kubeconfig();
        Self {
            settings: vec![
                // To the primary, so that all connections are seen in one place.
                (
                    "DATABASE_RO_URL",
                    with_user(&databases.ro_url(), &databases.rw_url()),
                ),
                ("DATABASE_RW_URL", databases.rw_url()),
                ("DATABASE_SEQUENCE_URL", databases.sequence_url()),
                ("DATABASE_UPSTREAM_URL", databases.upstream_url()),
                ("DATABASE_LEDGER_URL", databases.ledger_url()),
                ("KUBECONFIG", kubeconfig.display().to_string()),
                ("NAMESPACE", stack.namespace().to_owned()),
            ],
        }
    }

    fn environment(&self, names: Option<&[&str]>) -> Vec<(&str, &str)> {
        self.settings
            .iter()
            .filter(|(name, _)| names.is_none_or(|names| names.contains(name)))
            .map(|(name, value)| (*name, value.as_str()))
            .collect()
    }
}

/// The first URL's user, at the second one's server.
fn with_user(url: &str, server: &str) -> String {
    let (url, mut there) = (
        reqwest::Url::parse(url).unwrap(),
        reqwest::Url::parse(server).unwrap(),
    );
    there.set_username(url.username()).unwrap();
    there.set_password(url.password()).unwrap();
    there.into()
}

/// The users of the connections that API servers have.
async fn connected(stack: &Stack) -> BTreeSet<String> {
    let mut admin = stack.databases.primary.connect("postgres").await.unwrap();
    let sql = "select distinct usename::text from pg_stat_activity
               where application_name = 'arxiv-api-server' and usename is not null";
    let users: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_all(&mut admin)
        .await
        .unwrap();
    users.into_iter().collect()
}

/// Until it is ready and has answered; the users that it is connected as then.
async fn used(stack: &Stack, server: &ServerOnly, path: &str) -> BTreeSet<String> {
    let client = http_client();
    eventually("the process is ready", async || {
        let ready = client.get(server.url("/readyz")).send().await.ok()?;
        (ready.status() == 200).then_some(())
    })
    .await;
    let status = client
        .get(server.url(path))
        .send()
        .await
        .unwrap()
        .status()
        .as_u16();
    // 404: no such object, nothing found; 405: what is written by POST.
    assert!([200, 404, 405].contains(&status), "{path}: {status}");
    connected(stack).await
}

#[tokio::test]
async fn a_process_connects_as_the_users_of_what_it_serves_and_no_others() {
    let stack = Stack::start(Options {
        operators: 0,
        api_servers: Vec::new(),
        ..Options::default()
    })
    .await
    .unwrap();
    let given = Given::of(&stack);
    let arxiv = stack.arxiv_url().as_str();
    for (serve, needed, users, path) in ROLES {
        let expected: BTreeSet<String> = users.iter().map(|user| (*user).to_owned()).collect();
        // With its own settings alone, and with all that there are.
        for names in [Some(needed), None] {
            let mut environment = given.environment(names);
            environment.extend([
                ("SERVE", serve),
                ("ARXIV_API_URL", arxiv),
                ("MIN_INTERVAL_MS", "0"),
            ]);
            let server = ServerOnly::start(&environment).listening().await;
            let mut got = used(&stack, &server, path).await;
            if names.is_none() && serve == "arxiv" {
                // Where there is a database for reading, it has /arxiv/NAME/results.
                got.remove("arxiv_ro");
            }
            assert_eq!(got, expected, "{serve} with {names:?}");
            server.child.terminate(LIMIT).await.unwrap();
            eventually("its connections end", async || {
                connected(&stack).await.is_empty().then_some(())
            })
            .await;
        }
    }
}
