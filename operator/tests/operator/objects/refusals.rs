//! Statuses that Kubernetes refuses for a while, by a policy of the cluster.

use crd::Phase;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use testbed::TestEnv;
use testbed::stack::Options;
use testbed::test_env::{eventually, search};

/// A policy that refuses every change of a status in the namespace of the test.
struct Refusal {
    policies: Api<ValidatingAdmissionPolicy>,
    bindings: Api<ValidatingAdmissionPolicyBinding>,
    name: String,
}

impl Refusal {
    async fn install(env: &TestEnv) -> Self {
        let namespace = env.stack.namespace();
        let refusal = Self {
            policies: Api::all(env.kube.clone()),
            bindings: Api::all(env.kube.clone()),
            name: format!("no-status-{namespace}"),
        };
        let policy: Value = json!({
            "metadata": {"name": refusal.name},
            "spec": {
                "matchConstraints": {"resourceRules": [{"apiGroups": [crd::GROUP], "apiVersions": ["*"],
                    "operations": ["UPDATE"], "resources": ["arxivqueries/status"]}]},
                "validations": [{"expression": "false", "message": "not today"}],
            },
        });
        let binding: Value = json!({
            "metadata": {"name": refusal.name},
            "spec": {
                "policyName": refusal.name,
                "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}},
            },
        });
        let params = PostParams::default();
        let policy = serde_json::from_value(policy).unwrap();
        refusal.policies.create(&params, &policy).await.unwrap();
        let binding = serde_json::from_value(binding).unwrap();
        refusal.bindings.create(&params, &binding).await.unwrap();
        refusal
    }

    async fn remove(&self) {
        let params = DeleteParams::default();
        self.bindings.delete(&self.name, &params).await.unwrap();
        self.policies.delete(&self.name, &params).await.unwrap();
    }
}

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
    let refusal = Refusal::install(&env).await;
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
    refusal.remove().await;
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
