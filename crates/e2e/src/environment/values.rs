//! The objects outside of the release, and the values of the release that refer to them.

use std::net::Ipv4Addr;

use serde_json::{Value, json};
use url::Url;

use super::{Environment, NAMESPACE};
use crate::node;
use crate::test_images::FAKE_ARXIV;

const SECRET: &str = "databases";
/// The `ServiceAccount` that may call the protected endpoints.
pub(super) const CALLER: &str = "caller";

/// Manifests of the namespaces, the Secret with the databases' URLs, and the fake arXiv.
pub(super) fn manifests(env: &Environment) -> String {
    let databases = &env.databases;
    let (primary, replica) = (&env.primary, &env.replica);
    let moved = |url: &str, port| moved(url, node::ADDRESS, port);
    let secret = json!({
        "readWrite": moved(&databases.rw_url(), primary.port()),
        "readOnly": moved(&databases.ro_url(), replica.port()),
        "ledger": moved(&databases.ledger_url(), primary.port()),
        "sequence": moved(&databases.sequence_url(), primary.port()),
        "upstream": moved(&databases.upstream_url(), primary.port()),
        "owner": moved(&databases.owner_url(), primary.port()),
        "sequenceOwner": moved(&databases.sequence_owner_url(), primary.port()),
        "arxiv_rw": password(&databases.rw_url()),
        "arxiv_ro": password(&databases.ro_url()),
        "arxiv_sequence": password(&databases.sequence_url()),
        "arxiv_operator": password(&databases.ledger_url()),
        "arxiv_upstream": password(&databases.upstream_url()),
    });
    let labels = json!({"app": "arxiv"});
    let objects = [
        // The strictest standard: pods that need more are refused.
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
        }}),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "upstream"}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": CALLER, "namespace": NAMESPACE}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET, "namespace": NAMESPACE}, "stringData": secret}),
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "arxiv", "namespace": "upstream"},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "arxiv", "image": FAKE_ARXIV, "args": ["0.0.0.0:8080"]}]},
                },
            },
        }),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "arxiv", "namespace": "upstream"},
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]},
        }),
    ];
    let texts: Vec<String> = objects.iter().map(Value::to_string).collect();
    texts.join("\n---\n")
}

/// The values that all releases have in common.
pub(super) fn values(env: &Environment) -> String {
    let connection = |key: &str| json!({"secret": SECRET, "keys": {"url": key}});
    let connections: serde_json::Map<String, Value> = [
        "readWrite",
        "readOnly",
        "ledger",
        "sequence",
        "upstream",
        "owner",
        "sequenceOwner",
    ]
    .map(|name| (name.to_owned(), connection(name)))
    .into_iter()
    .collect();
    json!({
        "arxiv": {
            "apiUrl": "http://arxiv.upstream.svc.cluster.local/api/query",
            // The fake arXiv allows any rate, and a run should take minutes.
            "minIntervalMilliseconds": 300,
        },
        "apiServer": {
            "access": {"callers": {"backend": [{"kind": "ServiceAccount", "name": CALLER, "namespace": NAMESPACE}]}},
            // All requests of a run come from one address.
            "clients": {"searchesPerMinute": 0},
        },
        "postgres": {"connections": connections},
        "migrations": {"rolePasswords": {"secret": SECRET}},
        "networkPolicy": {
            "postgres": {"ports": [env.primary.port(), env.replica.port()]},
            "arxiv": {"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "upstream"}}}], "ports": [8080]},
        },
    })
    .to_string()
}

/// The URL with this address and port.
fn moved(url: &str, host: Ipv4Addr, port: u16) -> String {
    let Ok(mut url) = Url::parse(url) else {
        return url.to_owned();
    };
    // Neither fails for a URL with a host.
    let _ = url.set_host(Some(&host.to_string()));
    let _ = url.set_port(Some(port));
    url.into()
}

fn password(url: &str) -> String {
    let url = Url::parse(url).ok();
    url.and_then(|url| url.password().map(str::to_owned))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moved_url_has_address_and_port_for_pods() {
        let url = "postgresql://arxiv_rw:secret@127.0.0.1:20001/arxiv";
        assert_eq!(
            moved(url, Ipv4Addr::new(10, 200, 0, 1), 5000),
            "postgresql://arxiv_rw:secret@10.200.0.1:5000/arxiv"
        );
        assert_eq!(password(url), "secret");
    }
}
