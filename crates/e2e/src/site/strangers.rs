//! Pods that are not the release's, some of which look as if they were.

use serde_json::{Map, Value, json};

use super::{NAMESPACE, RELEASE};
use crate::parts::TOOLS;

/// A namespace for everybody's callers, and one for what scrapes.
pub(crate) const CALLERS: &str = "callers";
pub(crate) const MONITORING: &str = "monitoring";
const ELSEWHERE: &str = "elsewhere";

/// A pod that asks on behalf of somebody in docs/network.md.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Stranger {
    pub(crate) namespace: &'static str,
    pub(crate) name: String,
    labels: Map<String, Value>,
}

impl Stranger {
    /// One that policies take for `who`.
    pub(crate) fn like(who: &str) -> Self {
        let (namespace, labels) = match who {
            "clients" => (CALLERS, json!({"app": "caller"})),
            "Prometheus" => (MONITORING, json!({"app": "prometheus"})),
            "a pod beside" => (NAMESPACE, json!({"app": "stranger"})),
            "a pod elsewhere" => (ELSEWHERE, json!({"app": "stranger"})),
            own => {
                let mut labels = json!({
                    "app.kubernetes.io/name": RELEASE,
                    "app.kubernetes.io/instance": RELEASE,
                });
                if ["operator", "migrate", "test"].contains(&own) {
                    labels["app.kubernetes.io/component"] = own.into();
                } else {
                    labels["app.kubernetes.io/component"] = "api-server".into();
                    labels["arxiv-operator.dev/group"] = own.into();
                }
                (NAMESPACE, labels)
            }
        };
        Self {
            namespace,
            name: format!("like-{}", who.to_lowercase().replace(' ', "-")),
            labels: labels.as_object().cloned().unwrap_or_default(),
        }
    }

    /// Never ready, so that no Service leads here whatever its labels are.
    pub(crate) fn manifest(&self) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": self.name, "namespace": self.namespace, "labels": self.labels},
            "spec": {
                "automountServiceAccountToken": false,
                "terminationGracePeriodSeconds": 0,
                "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{
                    "name": "tools", "image": TOOLS,
                    "readinessProbe": {"exec": {"command": ["/bin/grep", "ready", "/none"]}},
                    "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                }],
            },
        })
    }
}

/// The namespaces that they are in beside the release's.
pub(crate) fn namespaces() -> Vec<Value> {
    [CALLERS, MONITORING, ELSEWHERE]
        .map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
        .into()
}
