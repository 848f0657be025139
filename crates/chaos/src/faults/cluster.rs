//! Faults of the cluster as a whole: it refuses writes, or its database goes back in time.

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::servers::STOPS_WORK_WITHIN;
use crate::harness::Harness;
use crate::history::Disturbance;

const POLICY: &str = "chaos-denies-statuses";
/// Another fault may have interrupted Kubernetes just before.
const TRIES: u32 = 60;
const PAUSE: Duration = Duration::from_millis(500);

/// Repeats a call until it succeeds.
async fn repeated<T>(mut call: impl AsyncFnMut() -> kube::Result<T>) -> Result<T> {
    let mut tries = TRIES;
    loop {
        match call().await {
            Ok(done) => return Ok(done),
            Err(error) if tries == 0 => return Err(error.into()),
            Err(_) => tries -= 1,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn policy() -> Value {
    let resources = json!({"apiGroups": ["arxiv-operator.dev"], "apiVersions": ["*"], "operations": ["UPDATE"],
        "resources": ["arxivqueries/status"]});
    json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": POLICY},
        "spec": {"failurePolicy": "Fail", "matchConstraints": {"resourceRules": [resources]},
            "validations": [{"expression": "false", "message": "not now"}]}})
}

fn binding() -> Value {
    json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": POLICY}, "spec": {"policyName": POLICY, "validationActions": ["Deny"]}})
}

impl Harness {
    /// A policy refuses every status for some time.
    pub(super) async fn deny_writes(&self, lasts: Duration) -> Result<()> {
        let policies: Api<ValidatingAdmissionPolicy> = Api::all(self.env.kube.clone());
        let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(self.env.kube.clone());
        let apply = PatchParams::apply("chaos").force();
        repeated(async || policies.patch(POLICY, &apply, &Patch::Apply(policy())).await).await?;
        repeated(async || bindings.patch(POLICY, &apply, &Patch::Apply(binding())).await).await?;
        tokio::time::sleep(lasts).await;
        let gone = |outcome: kube::Result<()>| match outcome {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            outcome => outcome,
        };
        let parameters = DeleteParams::default();
        repeated(async || gone(bindings.delete(POLICY, &parameters).await.map(drop))).await?;
        repeated(async || gone(policies.delete(POLICY, &parameters).await.map(drop))).await?;
        self.timeline.log("statuses are accepted again");
        Ok(())
    }

    /// etcd gets back the state of a backup that was made some time ago: what was created since is gone, what was deleted since
    /// is back, and what ended since has not ended.
    pub(super) async fn restore_etcd(&self, after: Duration) -> Result<()> {
        let plane = self.env.stack.control_plane();
        let from = self.timeline.now();
        let backup = plane.back_up().await?;
        self.timeline.log("etcd is backed up");
        tokio::time::sleep(after).await;
        plane.restore(&backup).await?;
        let now = self.timeline.now();
        self.timeline.log("etcd is restored");
        let lost = (0..self.env.stack.operators.len()).map(|operator| Disturbance {
            from,
            to: now + STOPS_WORK_WITHIN,
            victim: Some(operator),
            pauses: false,
        });
        let mut observations = self.observations();
        observations.disturbances.extend(lost);
        observations.restores.push(now);
        drop(observations);
        self.restored.notify_one();
        Ok(())
    }
}
