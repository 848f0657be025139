//! Suspended queries: nothing is requested for them, and others are not affected.

use crd::{ArxivQuerySpec, Phase};
use kube::api::DeleteParams;
use serde_json::json;
use std::time::Duration;
use testbed::TestEnv;
use testbed::arxiv::{Behaviour, Mode};
use testbed::stack::Options;
use testbed::test_env::{LIMIT, search};

#[tokio::test(flavor = "multi_thread")]
async fn query_suspended_at_creation_runs_when_resumed() {
    let env = TestEnv::start(Options::operator_only()).await;
    let arxiv = env.stack.arxiv().unwrap();
    let spec = ArxivQuerySpec {
        suspend: true,
        ..search("later")
    };
    env.create("later", spec).await;
    let status = env
        .status_when("later", "suspended", |status| status.phase == Phase::Suspended)
        .await;
    let conditions: Vec<_> = status
        .conditions
        .iter()
        .map(|c| (c.type_.as_str(), c.status.as_str(), c.reason.as_str()))
        .collect();
    assert_eq!(
        conditions,
        [
            ("Ready", "False", "Suspended"),
            ("Finished", "False", "Suspended")
        ]
    );
    // Others go on meanwhile.
    env.create("now", search("now")).await;
    assert_eq!(env.finished("now").await.phase, Phase::Succeeded);
    assert_eq!(arxiv.requests().len(), 1);
    // Reported once: the write of "now" is the other one.
    let written = "arxiv_operator_status_writes_total{outcome=\"written\"}";
    env.until_metric(written, 2.0).await;
    env.patch_spec("later", json!({"suspend": false})).await;
    assert_eq!(env.finished("later").await.phase, Phase::Succeeded);
    assert_eq!(env.rows().await.len(), 2);
}

/// In the queue, between slices, and with a request in flight; its deadline starts again.
#[tokio::test(flavor = "multi_thread")]
async fn suspend_takes_effect_in_queue_between_slices_and_in_flight() {
    let env = TestEnv::start(Options {
        min_interval: Duration::from_secs(1),
        ..Options::operator_only()
    })
    .await;
    let arxiv = env.stack.arxiv().unwrap();
    arxiv.set(Behaviour {
        delay_ms: 4_000,
        total: Some(4_100),
        ..Behaviour::default()
    });
    let big = ArxivQuerySpec {
        max_results: 5_000,
        active_deadline_seconds: Some(600),
        ..search("big")
    };
    env.create("big", big).await;
    arxiv.wait_for_requests(1, LIMIT).await.unwrap();
    // While the request for "big" is in flight, this one is in the queue.
    env.create("queued", search("queued")).await;
    env.patch_spec("queued", json!({"suspend": true})).await;
    env.status_when("queued", "suspended", |status| status.phase == Phase::Suspended)
        .await;
    // The second slice of "big" is in flight: it is suspended between this and the third.
    arxiv.wait_for_requests(2, LIMIT).await.unwrap();
    env.patch_spec("big", json!({"suspend": true})).await;
    let status = env
        .status_when("big", "suspended", |status| status.phase == Phase::Suspended)
        .await;
    assert_eq!(status.start_time, None, "its deadline does not count");
    // Another query shows that the queue goes on without them.
    env.create("other", search("other")).await;
    env.finished("other").await;
    let requests_of = |query: &str| {
        let all = arxiv.requests();
        all.iter().filter(|r| r.search_query == query).count()
    };
    assert_eq!((requests_of("ti:big"), requests_of("ti:queued")), (2, 0));
    env.patch_spec("big", json!({"suspend": false})).await;
    let big = env.finished("big").await;
    assert_eq!((big.phase, big.stored_results), (Phase::Succeeded, Some(4_100)));
    assert_eq!(requests_of("ti:big"), 3, "it continues with the stored pages");
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_fetch_continues_when_its_first_query_leaves() {
    let env = TestEnv::start(Options::operator_only()).await;
    let arxiv = env.stack.arxiv().unwrap();
    // What happens to the query that was first.
    for (case, happens) in ["suspended", "deleted", "failed"].into_iter().enumerate() {
        arxiv.clear_record();
        let word = format!("shared{case}");
        let first = ArxivQuerySpec {
            backoff_limit: if happens == "failed" { 0 } else { 6 },
            ..search(&word)
        };
        arxiv.set(Behaviour {
            mode: if happens == "failed" {
                Mode::Malformed
            } else {
                Mode::Ok
            },
            delay_ms: 3_000,
            ..Behaviour::default()
        });
        let owner = format!("{happens}-owner");
        env.create(&owner, first).await;
        arxiv.wait_for_requests(1, LIMIT).await.unwrap();
        for other in 0..3 {
            env.create(&format!("{happens}-other{other}"), search(&word))
                .await;
        }
        match happens {
            "suspended" => env.patch_spec(&owner, json!({"suspend": true})).await,
            "deleted" => {
                env.queries
                    .delete(&owner, &DeleteParams::default())
                    .await
                    .unwrap();
            }
            _ => {
                let owner = env.finished(&owner).await;
                assert_eq!(owner.phase, Phase::Failed);
                arxiv.set(Behaviour::default());
            }
        }
        for other in 0..3 {
            let other = env.finished(&format!("{happens}-other{other}")).await;
            assert_eq!(
                (other.phase, other.stored_results),
                (Phase::Succeeded, Some(2)),
                "{happens}"
            );
        }
        let requests = if happens == "failed" { 2 } else { 1 };
        assert_eq!(arxiv.requests().len(), requests, "{happens}");
    }
}
