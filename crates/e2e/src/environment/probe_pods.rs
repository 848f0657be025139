//! Pods from which the network policies are tried. Some have the labels of the release's pods.

use serde_json::{Map, Value, json};

use super::{NAMESPACE, RELEASE};
use crate::test_images::TOOLS;

/// The namespaces of clients and of Prometheus.
pub(crate) const CALLERS: &str = "callers";
pub(crate) const MONITORING: &str = "monitoring";

/// A pod that takes the place of a sender in docs/network.md.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ProbePod {
    pub(crate) namespace: &'static str,
    pub(crate) name: String,
    labels: Map<String, Value>,
}

impl ProbePod {
    /// A pod to which the policies for `sender` apply.
    pub(crate) fn like(sender: &str) -> Self {
        let (namespace, labels) = match sender {
            "clients" => (CALLERS, json!({"app": "caller"})),
            "Prometheus" => (MONITORING, json!({"app": "prometheus"})),
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
            name: format!("like-{}", sender.to_lowercase().replace(' ', "-")),
            labels: labels.as_object().cloned().unwrap_or_default(),
        }
    }

    /// The pod is never ready, so that no Service selects it, whatever its labels are.
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

/// Their namespaces, except for that of the release.
pub(crate) fn namespaces() -> Vec<Value> {
    [CALLERS, MONITORING]
        .map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
        .into()
}
