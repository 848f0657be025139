//! Policies and quotas of the cluster's administrators.

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::TestEnv;

/// The resource of quotas for searches.
const COUNT: &str = "count/arxivqueries.arxiv-operator.dev";

/// A `ValidatingAdmissionPolicy` that denies calls in the namespace of the test.
#[derive(Debug)]
pub struct Policy {
    policies: Api<ValidatingAdmissionPolicy>,
    bindings: Api<ValidatingAdmissionPolicyBinding>,
    name: String,
}

impl Policy {
    /// Installs one for an operation on a resource of our group. It takes effect a little later. `validations`: what must hold, each
    /// with `expression` and `message`.
    pub async fn install(
        env: &TestEnv,
        name: &str,
        (operation, resource): (&str, &str),
        validations: Value,
    ) -> Self {
        let namespace = env.stack.namespace();
        let policy = Self {
            policies: Api::all(env.kube.clone()),
            bindings: Api::all(env.kube.clone()),
            name: format!("{name}-{namespace}"),
        };
        let definition = json!({
            "metadata": {"name": policy.name},
            "spec": {
                "matchConstraints": {"resourceRules": [{"apiGroups": [crd::GROUP], "apiVersions": ["*"],
                    "operations": [operation], "resources": [resource]}]},
                "validations": validations,
            },
        });
        let binding = json!({
            "metadata": {"name": policy.name},
            "spec": {
                "policyName": policy.name,
                "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}},
            },
        });
        let params = PostParams::default();
        let definition = serde_json::from_value(definition).expect("a policy");
        let created = policy.policies.create(&params, &definition).await;
        created.expect("the policy is created");
        let binding = serde_json::from_value(binding).expect("a binding");
        let created = policy.bindings.create(&params, &binding).await;
        created.expect("its binding is created");
        policy
    }

    /// Removes it; calls are allowed a little later.
    pub async fn remove(&self) {
        let params = DeleteParams::default();
        let removed = self.bindings.delete(&self.name, &params).await;
        removed.expect("the binding is removed");
        let removed = self.policies.delete(&self.name, &params).await;
        removed.expect("the policy is removed");
    }
}

impl TestEnv {
    /// Creates a quota that leaves no room for any `ArxivQuery`. It takes effect a little later.
    pub async fn create_full_quota(&self, name: &str) {
        let quotas = self.quotas();
        let hard = json!({COUNT: "0"});
        let quota = json!({"metadata": {"name": name}, "spec": {"hard": hard}});
        let quota = serde_json::from_value(quota).expect("a quota");
        let created = quotas.create(&PostParams::default(), &quota).await;
        created.expect("the quota is created");
        // What the controller manager does, which does not run here.
        let counted = Patch::Merge(json!({"status": {"hard": hard, "used": {COUNT: "0"}}}));
        let counted = quotas.patch_status(name, &PatchParams::default(), &counted).await;
        counted.expect("the quota is counted");
    }

    /// Deletes a quota.
    pub async fn delete_quota(&self, name: &str) {
        let deleted = self.quotas().delete(name, &DeleteParams::default()).await;
        deleted.expect("the quota is deleted");
    }

    fn quotas(&self) -> Api<ResourceQuota> {
        Api::namespaced(self.kube.clone(), self.stack.namespace())
    }
}
