//! Faults of the cluster as a whole: it refuses writes, or its database goes back in time.

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::repeated;
use super::servers::STOPS_WORK_WITHIN;
use crate::harness::Harness;
use crate::history::Disturbance;

const POLICY: &str = "chaos-denies-statuses";
fn policy() -> Value {
    let resources = json!({"apiGroups": ["arxiv-operator.dev"], "apiVersions": ["*"], "operations": ["UPDATE"],
        "resources": ["arxivqueries/status", "arxivfeeds/status"]});
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
        let (policy, binding) = (Patch::Apply(policy()), Patch::Apply(binding()));
        repeated(async || Ok(policies.patch(POLICY, &apply, &policy).await.map(drop)?)).await?;
        repeated(async || Ok(bindings.patch(POLICY, &apply, &binding).await.map(drop)?)).await?;
        tokio::time::sleep(lasts).await;
        let gone = |outcome: kube::Result<()>| match outcome {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            outcome => Ok(outcome?),
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
        // Some milliseconds.
        let backup = plane.back_up()?;
        self.timeline.log("etcd is backed up");
        tokio::time::sleep(after).await;
        let from = self.timeline.now();
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
