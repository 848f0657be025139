//! Attempts of harmful requests.

use kube::Client;
use serde_json::json;
use testbed::ControlPlane;
use testbed::control_plane::{chart_rules, client};

use super::GROUP;

/// A harmful request: account, method, path (`{own}` and `{other}` are namespaces), body.
type Attempt = (&'static str, &'static str, String, serde_json::Value);

fn query(namespace: &str, rest: &str) -> String {
    format!("/apis/{GROUP}/v1alpha1/namespaces/{namespace}/arxivqueries{rest}")
}

fn feeds(namespace: &str, rest: &str) -> String {
    format!("/apis/{GROUP}/v1alpha1/namespaces/{namespace}/arxivfeeds{rest}")
}

fn new_feed() -> serde_json::Value {
    json!({"apiVersion": format!("{GROUP}/v1alpha1"), "kind": "ArxivFeed",
        "metadata": {"name": "mine"}, "spec": {"schedule": "@daily", "search": {"author": "knuth"}}})
}

fn new_query() -> serde_json::Value {
    json!({"apiVersion": format!("{GROUP}/v1alpha1"), "kind": "ArxivQuery",
        "metadata": {"name": "mine"}, "spec": {"search": {"author": "knuth"}}})
}

/// Requests that no account may send.
fn forbidden_for_all() -> Vec<Attempt> {
    let admin_role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "mine"}, "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "mine"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:authenticated"}]});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "mine"},
        "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let roles = "/apis/rbac.authorization.k8s.io/v1";
    let mut forbidden = Vec::new();
    for account in ["operator", "api-server", "view", "edit"] {
        let everybody = [
            ("GET", "/api/v1/namespaces/{own}/secrets".to_owned(), json!(null)),
            ("GET", "/api/v1/secrets".to_owned(), json!(null)),
            (
                "GET",
                "/api/v1/namespaces/{own}/configmaps/kube-root-ca.crt".to_owned(),
                json!(null),
            ),
            ("POST", "/api/v1/namespaces/{own}/pods".to_owned(), pod.clone()),
            (
                "POST",
                "/api/v1/namespaces/{own}/pods/any/exec?command=sh".to_owned(),
                json!({}),
            ),
            (
                "POST",
                "/api/v1/namespaces/{own}/serviceaccounts/default/token".to_owned(),
                json!({"spec": {}}),
            ),
            (
                "POST",
                format!("{roles}/namespaces/{{own}}/roles"),
                admin_role.clone(),
            ),
            (
                "POST",
                format!("{roles}/namespaces/{{own}}/rolebindings"),
                binding.clone(),
            ),
            (
                "PATCH",
                format!("{roles}/namespaces/{{own}}/roles/{account}-{account}"),
                json!({"rules": admin_role["rules"]}),
            ),
            (
                "DELETE",
                "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/arxivqueries.arxiv-operator.dev"
                    .to_owned(),
                json!({}),
            ),
            ("DELETE", "/api/v1/namespaces/{own}".to_owned(), json!({})),
            ("PUT", query("{own}", "/there/status"), new_query()),
            ("POST", query("{other}", ""), new_query()),
            ("GET", query("{other}", ""), json!(null)),
            ("DELETE", query("{other}", "/there"), json!({})),
        ];
        forbidden.extend(everybody.map(|(method, path, body)| (account, method, path, body)));
    }
    forbidden
}

/// Requests that only other accounts may send.
fn forbidden_for_some() -> Vec<Attempt> {
    let succeeded = json!({"status": {"phase": "Succeeded", "queryId": 1}});
    let mut forbidden = Vec::new();
    let patch = json!({"spec": {"suspend": true}});
    for (account, method, path, body) in [
        ("operator", "POST", feeds("{own}", ""), new_feed()),
        ("operator", "PATCH", feeds("{own}", "/there"), patch.clone()),
        ("operator", "DELETE", feeds("{own}", "/there"), json!({})),
        ("api-server", "GET", feeds("{own}", ""), json!(null)),
        ("view", "POST", feeds("{own}", ""), new_feed()),
        (
            "edit",
            "PATCH",
            feeds("{own}", "/there/status"),
            json!({"status": {"items": 1}}),
        ),
        ("operator", "PATCH", query("{own}", "/there"), patch.clone()),
        ("operator", "DELETE", query("{own}", ""), json!({})),
        (
            "operator",
            "PATCH",
            query("{other}", "/there/status"),
            succeeded.clone(),
        ),
        ("api-server", "PATCH", query("{own}", "/there"), patch.clone()),
        (
            "api-server",
            "PATCH",
            query("{own}", "/there/status"),
            succeeded.clone(),
        ),
        ("api-server", "DELETE", query("{own}", ""), json!({})),
        ("view", "POST", query("{own}", ""), new_query()),
        ("view", "PATCH", query("{own}", "/there"), patch),
        ("view", "DELETE", query("{own}", "/there"), json!({})),
        (
            "view",
            "PATCH",
            query("{own}", "/there/status"),
            succeeded.clone(),
        ),
        ("edit", "PATCH", query("{own}", "/there/status"), succeeded),
    ] {
        forbidden.push((account, method, path, body));
    }
    let leases = "/apis/coordination.k8s.io/v1/namespaces/{own}/leases";
    let elsewhere = leases.replace("{own}", "{other}");
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "other"}, "spec": {}});
    forbidden.push(("operator", "GET", leases.to_owned(), json!(null)));
    forbidden.push(("operator", "POST", elsewhere, lease.clone()));
    forbidden.push(("operator", "PUT", format!("{leases}/other"), lease));
    forbidden.push((
        "operator",
        "DELETE",
        format!("{leases}/arxiv-operator"),
        json!({}),
    ));
    forbidden
}

#[tokio::test]
async fn harmful_request_is_refused() {
    let plane = ControlPlane::shared().await.unwrap();
    let (own, other) = (plane.namespace().await.unwrap(), plane.namespace().await.unwrap());
    let admin = plane.client().await.unwrap();
    for namespace in [&own, &other] {
        let there = json!({"apiVersion": format!("{GROUP}/v1alpha1"), "kind": "ArxivQuery",
            "metadata": {"name": "there"}, "spec": {"search": {"author": "knuth"}}});
        let path = format!("/apis/{GROUP}/v1alpha1/namespaces/{namespace}/arxivqueries");
        assert_eq!(status(&admin, "POST", &path, &there, None).await, 201);
    }
    for account in ["operator", "api-server", "view", "edit"] {
        let kubeconfig = plane
            .service_account(&own, account, &chart_rules(account), false)
            .await
            .unwrap();
        if account == "operator" {
            let lease = chart_rules("operator-lease");
            plane.service_account(&own, account, &lease, false).await.unwrap();
        }
        let limited = client(&kubeconfig).await.unwrap();
        for (_, method, path, body) in forbidden_for_all()
            .into_iter()
            .chain(forbidden_for_some())
            .filter(|(who, ..)| *who == account)
        {
            let path = path.replace("{own}", &own).replace("{other}", &other);
            assert_eq!(
                status(&limited, method, &path, &body, None).await,
                403,
                "{account}: {method} {path}"
            );
        }
        for user in ["system:admin", &format!("system:serviceaccount:{own}:operator")] {
            let path = format!("/api/v1/namespaces/{own}/secrets");
            let as_another = status(&limited, "GET", &path, &json!(null), Some(user)).await;
            assert_eq!(as_another, 403, "{account} as {user}");
        }
    }
}

/// The status of the response to a raw request.
async fn status(
    client: &Client,
    method: &str,
    path: &str,
    body: &serde_json::Value,
    user: Option<&str>,
) -> u16 {
    let kind = if method == "PATCH" {
        "application/merge-patch+json"
    } else {
        "application/json"
    };
    let mut request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", kind);
    if let Some(user) = user {
        request = request.header("impersonate-user", user);
    }
    let body = if body.is_null() {
        Vec::new()
    } else {
        serde_json::to_vec(body).unwrap()
    };
    match client.request_text(request.body(body).unwrap()).await {
        Ok(_) if method == "POST" => 201,
        Ok(_) => 200,
        Err(kube::Error::Api(status)) => status.code,
        Err(error) => panic!("{method} {path}: {error}"),
    }
}
