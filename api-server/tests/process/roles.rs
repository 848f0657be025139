//! A process uses the credentials of what it serves, whatever else it is given.

use std::collections::BTreeSet;
use testbed::test_env::{LIMIT, ServerOnly, eventually, http_client};
use testbed::{ControlPlane, FakeArxiv};

use crate::databases::Databases;

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
    async fn of(databases: &Databases) -> Self {
        let plane = ControlPlane::shared().await.unwrap();
        let mut settings = databases.environment();
        settings.extend([
            ("KUBECONFIG", plane.admin_kubeconfig().display().to_string()),
            ("NAMESPACE", plane.namespace().await.unwrap()),
        ]);
        Self { settings }
    }

    fn environment(&self, names: Option<&[&str]>) -> Vec<(&str, &str)> {
        self.settings
            .iter()
            .filter(|(name, _)| names.is_none_or(|names| names.contains(name)))
            .map(|(name, value)| (*name, value.as_str()))
            .collect()
    }
}

/// The users of the connections that API servers have to these databases.
async fn connected(databases: &Databases) -> BTreeSet<String> {
    let sql = format!(
        "select distinct usename::text from pg_stat_activity
         where application_name = 'arxiv-api-server' and usename is not null and datname in ('{}', '{}')",
        databases.name("arxiv"),
        databases.name("arxiv_sequence")
    );
    databases.column(&sql).await.into_iter().collect()
}

/// Until it is ready and has answered; the users that it is connected as then.
async fn used(databases: &Databases, server: &ServerOnly, path: &str) -> BTreeSet<String> {
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
    connected(databases).await
}

#[tokio::test]
async fn process_connects_as_the_users_of_its_endpoints_and_no_others() {
    let databases = Databases::shared().await;
    let given = Given::of(&databases).await;
    let arxiv = FakeArxiv::start().unwrap();
    let url = arxiv.url();
    for (serve, needed, users, path) in ROLES {
        let expected: BTreeSet<String> = users.iter().map(|user| (*user).to_owned()).collect();
        // With its own settings alone, and with all that there are.
        for names in [Some(needed), None] {
            let mut environment = given.environment(names);
            environment.extend([
                ("SERVE", serve),
                ("ARXIV_API_URL", url.as_str()),
                ("MIN_INTERVAL_MS", "0"),
            ]);
            let server = ServerOnly::start(&environment).listening().await;
            let mut got = used(&databases, &server, path).await;
            if names.is_none() && serve == "arxiv" {
                // Where there is a database for reading, it has /arxiv/NAME/results.
                got.remove("arxiv_ro");
            }
            assert_eq!(got, expected, "{serve} with {names:?}");
            server.child.terminate(LIMIT).await.unwrap();
            eventually("its connections end", async || {
                connected(&databases).await.is_empty().then_some(())
            })
            .await;
        }
    }
}
