//! Access control of the API server: its rights for token reviews, and the roles of its callers.

use chart::{NAMESPACE, pods, render};
use serde_json::{Value, json};

use crate::cluster::cluster;
use crate::modes::TEN;
use crate::rbac::rules;

/// The Deployments that authenticate callers by Kubernetes.
fn guarded(mode: &str, access: &str) -> Vec<&'static str> {
    match (mode, access) {
        (_, "off") => vec![],
        ("together", _) => vec!["api"],
        ("frontendBackend", "backend") => vec!["backend"],
        ("frontendBackend", _) => vec!["frontend", "backend"],
        (_, "backend") => TEN[4..].to_vec(),
        _ => TEN.to_vec(),
    }
}

#[test]
fn review_rights_belong_only_to_protected_deployments() {
    for mode in ["together", "frontendBackend", "perEndpoint"] {
        for access in ["off", "backend", "all"] {
            let values = format!("apiServer: {{mode: {mode}, access: {{endpoints: {access}}}}}");
            let objects = render(&values).unwrap();
            let expected = guarded(mode, access);
            let subjects: Vec<Value> = expected
                .iter()
                .map(|name| {
                    json!({"kind": "ServiceAccount", "name": format!("papers-arxiv-operator-{name}"), "namespace": NAMESPACE})
                })
                .collect();
            let name = "library-papers-arxiv-operator-access";
            if expected.is_empty() {
                assert!(objects.get("ClusterRole", name).is_err(), "{values}");
            } else {
                let role = objects.get("ClusterRole", name).unwrap();
                assert_eq!(role["rules"], rules("access"), "{values}");
                let binding = objects.get("ClusterRoleBinding", name).unwrap();
                assert_eq!(binding["subjects"], json!(subjects), "{values}");
                assert_eq!(binding["roleRef"]["name"], name, "{values}");
            }
            for pod in pods(&objects)
                .iter()
                .filter(|pod| pod.container["name"] == "api-server")
            {
                let short = pod.name.strip_prefix("papers-arxiv-operator-").unwrap();
                let asks = expected.contains(&short);
                let env = pod.env();
                assert_eq!(
                    env.get("ACCESS").map(String::as_str),
                    asks.then_some(access),
                    "{values} {short}"
                );
                assert_eq!(env.contains_key("ACCESS_AUDIENCE"), asks, "{values} {short}");
                let token = pod.pod["automountServiceAccountToken"] == true;
                assert_eq!(token, asks || env.contains_key("NAMESPACE"), "{values} {short}");
            }
        }
    }
}

#[test]
fn backend_is_protected_by_default() {
    let ask = |values: &str| -> Vec<String> {
        let objects = render(values).unwrap();
        let env = pods(&objects)
            .iter()
            .map(chart::Container::env)
            .collect::<Vec<_>>();
        let named = |name| env.iter().filter_map(move |env| env.get(name)).cloned();
        named("ACCESS")
            .chain(named("ACCESS_AUDIENCE"))
            .chain(named("ACCESS_CACHE_SECONDS"))
            .collect()
    };
    assert_eq!(ask(""), ["backend", "arxiv-api-server", "30"]);
    assert_eq!(
        ask("apiServer: {access: {endpoints: all, audience: papers, cacheSeconds: 0}}"),
        ["all", "papers", "0"]
    );
    // YAML 1.1, which Helm reads, takes the word for a boolean.
    for off in ["off", "'off'", "false"] {
        assert!(
            ask(&format!("apiServer: {{access: {{endpoints: {off}}}}}")).is_empty(),
            "{off}"
        );
    }
}

#[test]
fn helm_test_checks_open_and_protected_endpoints() {
    for (values, expected) in [
        ("apiServer: {access: {endpoints: off}}", vec!["api:80/readyz"]),
        (
            "",
            vec!["api:80/readyz", "api:80/read-queries", "api:80/read-results"],
        ),
        (
            "apiServer: {mode: frontendBackend}",
            vec![
                "frontend:80/readyz",
                "backend:80/readyz",
                "backend:80/read-queries",
                "backend:80/read-results",
            ],
        ),
    ] {
        let objects = render(values).unwrap();
        let expected: Vec<String> = expected
            .iter()
            .map(|url| format!("http://papers-arxiv-operator-{url}"))
            .collect();
        let args = &objects.only("Pod").unwrap()["spec"]["containers"][0]["args"];
        assert_eq!(*args, json!(expected), "{values}");
    }
}

/// A real authorizer decides.
#[tokio::test]
async fn callers_may_call_only_their_protected_endpoints() {
    let cluster = cluster().await;
    let values = "
fullnameOverride: guarded
apiServer:
  access:
    endpoints: all
    callers:
      backend: [{kind: ServiceAccount, name: recorder, namespace: papers}]
      frontend: [{kind: Group, name: readers}]
";
    let objects = render(values).unwrap();
    let kinds = ["ClusterRole", "ClusterRoleBinding"];
    let rights: Vec<&Value> = objects
        .iter()
        .filter(|object| kinds.iter().any(|kind| object["kind"] == *kind))
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": rights});
    cluster.succeeds(&["apply", "-f", "-"], &list.to_string());
    let api = format!("system:serviceaccount:{NAMESPACE}:guarded-api");
    let recorder = "system:serviceaccount:papers:recorder";
    let (none, readers) = ("", "readers");
    for (user, group, verb, what, may) in [
        (
            api.as_str(),
            none,
            "create",
            "tokenreviews.authentication.k8s.io",
            true,
        ),
        (
            &api,
            none,
            "create",
            "subjectaccessreviews.authorization.k8s.io",
            true,
        ),
        (&api, none, "get", "secrets", false),
        (&api, none, "get", "/get-sequence", false),
        (
            recorder,
            none,
            "create",
            "tokenreviews.authentication.k8s.io",
            false,
        ),
        (recorder, none, "get", "/arxiv-api", true),
        (recorder, none, "get", "/get-sequence", true),
        (recorder, none, "get", "/read-queries", true),
        (recorder, none, "get", "/read-results", true),
        (recorder, none, "post", "/write-queries", true),
        (recorder, none, "post", "/write-results", true),
        (recorder, none, "post", "/arxiv", false),
        ("somebody", readers, "get", "/arxiv", true),
        ("somebody", readers, "post", "/arxiv", true),
        ("somebody", readers, "delete", "/arxiv", true),
        ("somebody", readers, "post", "/queries", true),
        ("somebody", readers, "get", "/results", true),
        ("somebody", readers, "get", "/get-sequence", false),
        ("somebody", none, "get", "/arxiv", false),
    ] {
        let user_flag = format!("--as={user}");
        let group_flag = format!("--as-group={group}");
        let mut arguments = vec!["auth", "can-i", verb, what, &user_flag];
        if !group.is_empty() {
            arguments.push(&group_flag);
        }
        let allowed = cluster.kubectl(&arguments, "").status.success();
        assert_eq!(allowed, may, "{user} {group} {verb} {what}");
    }
}
