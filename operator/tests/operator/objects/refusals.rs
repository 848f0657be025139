//! Statuses that Kubernetes refuses for a while, by a policy of the cluster.

use crd::Phase;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use testbed::TestEnv;
use testbed::stack::Options;
use testbed::test_env::{Policy, eventually, search};

/// Whether the status of this object can be changed.
async fn is_refused(env: &TestEnv, name: &str) -> bool {
    let attempt = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let patch = Patch::Merge(json!({"status": {"attempts": 1}}));
    env.queries.patch_status(name, &attempt, &patch).await.is_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn status_that_was_refused_for_a_while_is_written_later() {
    let env = TestEnv::start(Options::operator_only()).await;
    env.create("finished", search("finished")).await;
    env.finished("finished").await;
    let never = json!([{"expression": "false", "message": "not today"}]);
    let update = ("UPDATE", "arxivqueries/status");
    let policy = Policy::install(&env, "no-status", update, never).await;
    eventually("the policy is in effect", async || {
        is_refused(&env, "finished").await.then_some(())
    })
    .await;
    env.create("new", search("new")).await;
    env.patch_spec("finished", json!({"priority": 1})).await;
    // More than once each: both are tried again.
    eventually("refused four times", async || {
        let refused = "arxiv_operator_status_writes_total{outcome=\"refused\"}";
        let refused = env.metric_of(env.operator(), refused).await?;
        (refused > 3.5).then_some(())
    })
    .await;
    assert_eq!(env.status("new").await.phase, Phase::Pending);
    assert_eq!(env.rows().await.len(), 2, "it is recorded all the same");
    policy.remove().await;
    assert_eq!(env.finished("new").await.phase, Phase::Succeeded);
    env.status_when("finished", "observed", |status| {
        status.observed_generation == Some(2)
    })
    .await;
    assert_eq!(env.rows().await.len(), 2);
    env.until_events("new", &["Succeeded"]).await;
    // Each refused attempt has one line, with its object and the words of the policy.
    let log = std::fs::read_to_string(env.operator().child().log()).unwrap();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("not today")).collect();
    let refused = "arxiv_operator_status_writes_total{outcome=\"refused\"}";
    let refused = env.metric_of(env.operator(), refused).await.unwrap();
    assert_eq!(refused.to_string(), lines.len().to_string(), "{lines:#?}");
    for name in ["new", "finished"] {
        let object = format!("object={name} ");
        assert!(
            lines.iter().any(|line| line.contains(&object)),
            "{name}: {lines:#?}"
        );
    }
}
