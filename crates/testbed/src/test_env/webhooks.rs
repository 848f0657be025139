//! What webhooks of feeds need.

use anyhow::Result;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use super::TestEnv;
use crate::control_plane::chart_rules;

/// What requests are signed with, in the form of Standard Webhooks.
pub const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

impl TestEnv {
    /// Creates a Secret with one key in the stack's namespace.
    pub async fn create_secret(&self, name: &str, key: &str, text: &str) -> Result<()> {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {key: text},
        });
        let secrets: Api<Secret> = Api::namespaced(self.kube.clone(), self.stack.namespace());
        secrets
            .create(&PostParams::default(), &serde_json::from_value(secret)?)
            .await?;
        Ok(())
    }

    /// Lets the operator read Secrets in the stack's namespace, as the chart does for webhooks.
    pub async fn let_webhooks_read_secrets(&self) -> Result<()> {
        let namespace = self.stack.namespace();
        let rules = chart_rules("operator-webhooks");
        self.stack
            .control_plane()
            .grant(namespace, (namespace, "arxiv-operator"), &rules)
            .await
    }
}
