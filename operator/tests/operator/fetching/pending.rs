//! The limit of the wait for a query's first request.

use std::time::Duration;

use crd::{ArxivQuery, ArxivQuerySpec, ArxivQueryStatus, Phase};
use jiff::Timestamp;
use serde_json::json;
use testbed::TestEnv;
use testbed::arxiv::{Behaviour, Mode};
use testbed::stack::Options;
use testbed::test_env::{eventually, search};

fn limited(word: &str, seconds: i64) -> ArxivQuerySpec {
    ArxivQuerySpec {
        pending_deadline_seconds: Some(seconds),
        ..search(word)
    }
}

fn reason(status: &ArxivQueryStatus) -> Option<&str> {
    let mut conditions = status.conditions.iter();
    let failed = conditions.find(|c| c.type_ == "Failed" && c.status == "True");
    failed.map(|c| c.reason.as_str())
}

/// Waits until so many seconds have passed since the creation.
async fn until_older(object: &ArxivQuery, seconds: u64) {
    let created = object.metadata.creation_timestamp.as_ref().unwrap().0;
    let until = created.checked_add(Duration::from_secs(seconds)).unwrap();
    eventually("the clock is past it", async || {
        (Timestamp::now() > until).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn query_fails_when_its_turn_does_not_come_in_time() {
    let env = TestEnv::start(Options::operator_only()).await;
    let arxiv = env.stack.arxiv().unwrap();
    // One that has its turn, and takes long.
    arxiv.set(Behaviour {
        delay_ms: 15_000,
        ..Behaviour::default()
    });
    env.create("first", limited("first", 5)).await;
    eventually("the request", async || {
        (!arxiv.requests().is_empty()).then_some(())
    })
    .await;
    env.create("second", limited("second", 1)).await;
    let status = env.finished("second").await;
    assert_eq!(
        (status.phase, reason(&status)),
        (Phase::Failed, Some("PendingDeadlineExceeded")),
        "{status:?}"
    );
    assert_eq!((status.start_time, status.duration), (None, None));
    // Its wait ended with its request, however long that takes.
    assert_eq!(env.finished("first").await.phase, Phase::Succeeded);
    assert_eq!(arxiv.requests().len(), 1);
    assert_eq!(env.rows().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn wait_goes_on_while_no_operator_runs_and_begins_anew_after_a_suspension() {
    let env = TestEnv::start(Options::operator_only()).await;
    let arxiv = env.stack.arxiv().unwrap();
    let suspended = ArxivQuerySpec {
        suspend: true,
        ..limited("suspended", 3)
    };
    env.create("suspended", suspended).await;
    env.status_when("suspended", "suspended", |status| {
        status.phase == Phase::Suspended
    })
    .await;
    env.operator().child().kill9();
    let waiting = env.create("waiting", limited("waiting", 3)).await;
    until_older(&waiting, 4).await;
    env.operator().child().start_again().unwrap();
    let status = env.finished("waiting").await;
    assert_eq!(reason(&status), Some("PendingDeadlineExceeded"), "{status:?}");
    assert_eq!(arxiv.requests().len(), 0);
    // Older than its limit, and resumed now.
    arxiv.set(Mode::Ok);
    env.patch_spec("suspended", json!({"suspend": false})).await;
    let status = env.finished("suspended").await;
    assert_eq!(status.phase, Phase::Succeeded, "{status:?}");
}
