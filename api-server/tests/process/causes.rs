//! The causes of failures: in the log, once, with what they can be looked up by; and nowhere else.

use std::time::Duration;

use testbed::{
    Postgres,
    test_env::{ServerOnly, eventually, http_client, json_body},
};

use crate::{NOWHERE, databases::Databases};

const PASSWORD: &str = "not-for-the-log";

/// An address that does not work, the text of its reason for users, and what only the log says.
struct Case {
    url: String,
    /// A further setting.
    setting: Option<(&'static str, String)>,
    reason: &'static str,
    logged: &'static [&'static str],
}

async fn cases(server: &Postgres, other: &Postgres, database: &str) -> Vec<Case> {
    let unavailable = "the database is not available";
    let url = |user: &str, password: &str, database: &str| server.url(user, password, database);
    let own_ca = server.enable_tls().await.unwrap().display().to_string();
    let other_ca = other.enable_tls().await.unwrap().display().to_string();
    let right = url("arxiv_ro", "arxiv_ro", database);
    let verified = |ca: &str| format!("{right}?sslmode=verify-full&sslrootcert={ca}");
    let case = |url, reason, logged| Case {
        url,
        setting: None,
        reason,
        logged,
    };
    let with = |url: &str, name, value: &str, reason, logged| Case {
        setting: Some((name, value.to_owned())),
        ..case(url.to_owned(), reason, logged)
    };
    let (ca, password) = ("DATABASE_RO_CA_FILE", "DATABASE_RO_PASSWORD_FILE");
    let invalid: &[&str] = &["invalid peer certificate"];
    let by_name = right.replace("127.0.0.1", "localhost");
    let without = right.replace(":arxiv_ro@", "@");
    vec![
        case(
            NOWHERE.replace("u:p", &format!("u:{PASSWORD}")),
            unavailable,
            &["Connection refused", "ConnectionRefused"],
        ),
        case(
            format!("postgresql://u:{PASSWORD}@postgres.invalid:5432/d"),
            unavailable,
            &["failed to lookup address"],
        ),
        case(
            url("nobody", PASSWORD, database),
            unavailable,
            &["nobody", "SQLSTATE 28"],
        ),
        case(
            url("arxiv_ro", PASSWORD, database),
            unavailable,
            &["arxiv_ro", "SQLSTATE 28P01"],
        ),
        case(
            url("arxiv_ro", "arxiv_ro", "nothing"),
            unavailable,
            &["nothing", "does not exist", "SQLSTATE 3D000"],
        ),
        case(verified(&other_ca), unavailable, &["invalid peer certificate"]),
        case(verified(&own_ca), "", &[]),
        // With a CA a server is verified, and so is its name.
        with(&right, ca, &own_ca, "", &[]),
        with(&right, "DATABASE_CA_FILE", &other_ca, unavailable, invalid),
        with(&by_name, ca, &own_ca, unavailable, invalid),
        with(&right, ca, "/nowhere/ca.crt", unavailable, &["No such file"]),
        with(
            &without,
            password,
            "/nowhere/password",
            unavailable,
            &["DATABASE_RO_PASSWORD_FILE", "cannot be read"],
        ),
        with(
            &without,
            password,
            "/dev/null",
            unavailable,
            &["DATABASE_RO_PASSWORD_FILE", "is empty"],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn cause_of_an_unavailable_database_is_logged_once_and_kept_from_users() {
    let databases = Databases::with_replica().await;
    let (server, other) = (databases.replica(), databases.primary());
    for Case {
        url,
        setting,
        reason,
        logged,
    } in cases(server, other, &databases.name("arxiv")).await
    {
        let mut settings = vec![
            ("SERVE", "results"),
            ("DATABASE_RO_URL", &url),
            ("LOG_LEVEL", "NOTICE"),
        ];
        settings.extend(setting.iter().map(|(name, value)| (*name, value.as_str())));
        let api = ServerOnly::start(&settings);
        let api = api.listening().await;
        let readyz = async || {
            let answer = http_client().get(api.url("/readyz")).send().await.unwrap();
            (answer.status().as_u16(), json_body(answer).await)
        };
        let checked = eventually("the databases are checked", async || {
            let (status, body) = readyz().await;
            (!body.to_string().contains("not checked yet")).then_some((status, body))
        });
        let (status, body) = checked.await;
        let log = || std::fs::read_to_string(api.child.log()).unwrap();
        if reason.is_empty() {
            assert_eq!(status, 200, "{body} {}", log());
            continue;
        }
        assert_eq!(
            (status, &body["reasons"]["results_ro"]),
            (503, &reason.into()),
            "{url}"
        );
        let answer = http_client().get(api.url("/results")).send().await.unwrap();
        assert_eq!(answer.status(), 503);
        let answer = answer.text().await.unwrap();
        let log = log();
        let lines: Vec<&str> = log
            .lines()
            .filter(|line| line.contains("waiting for results_ro"))
            .collect();
        assert_eq!(lines.len(), 1, "{log}");
        for text in logged {
            assert!(lines[0].contains(text), "{text}: {}", lines[0]);
            assert!(
                !answer.contains(text) && !body.to_string().contains(text),
                "{answer}"
            );
        }
        assert!(!log.contains(PASSWORD), "{log}");
    }
}

#[tokio::test]
async fn mode_without_its_ca_is_refused_at_the_start() {
    for (name, value, problem) in [
        (
            "PGSSLMODE",
            "verify-full",
            "PGSSLMODE: verify-full needs the server's CA",
        ),
        (
            "DATABASE_RO_SSLMODE",
            "verify-ca",
            "DATABASE_RO_SSLMODE: verify-ca needs",
        ),
        ("DATABASE_SSLMODE", "on", "DATABASE_SSLMODE: is none of disable"),
    ] {
        let api = ServerOnly::start(&[("SERVE", "results"), ("DATABASE_RO_URL", NOWHERE), (name, value)]);
        let status = api.child.wait(Duration::from_secs(30)).await.unwrap();
        let log = api.child.log_tail();
        assert!(!status.success() && log.contains(problem), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn process_is_not_ready_before_each_need_was_there_once_and_stays_ready_afterwards() {
    let databases = Databases::with_replica().await;
    let empty = databases.primary();
    let unprepared = empty.url("arxiv_ro", "arxiv_ro", "postgres");
    let api = ServerOnly::start(&[("SERVE", "results"), ("DATABASE_RO_URL", &unprepared)]);
    let api = api.listening().await;
    let ready = async |url: String| {
        let answer = http_client().get(url).send().await.unwrap();
        (
            answer.status().as_u16(),
            json_body(answer).await["reasons"]["results_ro"].clone(),
        )
    };
    let reason = eventually("the database is checked", async || {
        let (status, reason) = ready(api.url("/readyz")).await;
        (reason != "not checked yet").then_some((status, reason))
    });
    let prepared = "the database is not prepared: its migrations have not run";
    assert_eq!(reason.await, (503, prepared.into()));

    let url = databases
        .replica()
        .url("arxiv_ro", "arxiv_ro", &databases.name("arxiv"));
    let api = ServerOnly::start(&[("SERVE", "results"), ("DATABASE_RO_URL", &url)])
        .listening()
        .await;
    eventually("it is ready", async || {
        (ready(api.url("/readyz")).await.0 == 200).then_some(())
    })
    .await;
    databases.replica().stop().await.unwrap();
    eventually("the loss is reported", async || {
        let (status, reason) = ready(api.url("/readyz")).await;
        assert_eq!(status, 200, "it was there");
        reason.is_string().then_some(())
    })
    .await;
}
