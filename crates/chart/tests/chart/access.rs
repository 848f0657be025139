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
        ("frontendBackend", _) => vec!["frontend", "backend"],
        // That of /arxiv decides who may remove a query.
        (_, "backend") => TEN[..1].iter().chain(&TEN[4..]).copied().collect(),
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
            let name = "library.papers-arxiv-operator-access";
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
            .map(|url| {
                let option = if url.ends_with("/readyz") {
                    "ready"
                } else {
                    "unauthorized"
                };
                format!("--{option}=http://papers-arxiv-operator-{url}")
            })
            .collect();
        let args = &objects.only("Pod").unwrap()["spec"]["containers"][0]["args"];
        assert_eq!(args[0], "check");
        assert_eq!(
            args.as_array().unwrap()[1..],
            *json!(expected).as_array().unwrap(),
            "{values}"
        );
    }
}

#[test]
fn allowed_hosts_are_those_of_the_service_the_routes_and_the_values() {
    let hosts = |values: &str, group: &str| {
        let objects = render(values).unwrap();
        let name = format!("papers-arxiv-operator-{group}");
        let pods = pods(&objects);
        let pod = pods.iter().find(|pod| pod.name == name).unwrap();
        pod.env()["ALLOWED_HOSTS"].clone()
    };
    let service = |group: &str| {
        let name = format!("papers-arxiv-operator-{group}");
        let ends = ["", ".NS", ".NS.svc", ".NS.svc.cluster.local"];
        ends.map(|end| format!("{name}{}", end.replace("NS", NAMESPACE)))
            .join(",")
    };
    assert_eq!(hosts("", "api"), service("api"));
    let values = "
apiServer: {mode: frontendBackend, clients: {allowedHosts: ['*.apps.example']}}
ingress: {enabled: true, hosts: [papers.example]}
httpRoute: {enabled: true, parentRefs: [{name: public}], hostnames: [papers.example, www.papers.example]}
";
    for group in ["frontend", "backend"] {
        let expected = format!(
            "{},papers.example,www.papers.example,*.apps.example",
            service(group)
        );
        assert_eq!(hosts(values, group), expected);
    }
    // Routes that are not there bring no names.
    let off = "ingress: {hosts: [papers.example]}";
    assert_eq!(hosts(off, "api"), service("api"));
    for wrong in ["http://a.example", "a.example:80"] {
        let values = format!("apiServer: {{clients: {{allowedHosts: ['{wrong}']}}}}");
        assert!(chart::refusal(&values).is_ok(), "{wrong}");
    }
}

#[test]
fn requests_to_kubernetes_have_a_flow_schema_of_their_own() {
    for (mode, access, accounts) in [
        ("together", "off", vec!["api"]),
        ("frontendBackend", "all", vec!["frontend", "backend"]),
        ("perEndpoint", "off", vec!["arxiv"]),
    ] {
        let values = format!("apiServer: {{mode: {mode}, access: {{endpoints: '{access}'}}}}");
        let objects = render(&values).unwrap();
        let schema = objects.only("FlowSchema").unwrap();
        let level = objects.only("PriorityLevelConfiguration").unwrap();
        let name = &schema["spec"]["priorityLevelConfiguration"]["name"];
        assert_eq!(name, &level["metadata"]["name"], "{values}");
        let subjects = schema["spec"]["rules"][0]["subjects"].as_array().unwrap();
        let names: Vec<_> = subjects
            .iter()
            .map(|subject| subject["serviceAccount"]["name"].as_str().unwrap())
            .collect();
        let expected: Vec<_> = accounts
            .iter()
            .map(|account| format!("papers-arxiv-operator-{account}"))
            .collect();
        assert_eq!(names, expected, "{values}");
    }
    for without in [
        "apiServer: {flowSchema: {enabled: false}}",
        "apiServer: {enabled: false}",
    ] {
        let objects = render(without).unwrap();
        let none = objects.of("FlowSchema").is_empty() && objects.of("PriorityLevelConfiguration").is_empty();
        assert!(none, "{without}");
    }
}

#[test]
fn key_of_client_labels_is_in_a_secret_without_data_that_only_the_server_of_arxiv_reads() {
    for (mode, account) in [
        ("together", "api"),
        ("frontendBackend", "frontend"),
        ("perEndpoint", "arxiv"),
    ] {
        for (own, name) in [("", "papers-arxiv-operator-client-key"), ("ours", "ours")] {
            let values = format!("apiServer: {{mode: {mode}, clients: {{keySecret: '{own}'}}}}");
            let objects = render(&values).unwrap();
            // What GitOps tools apply again must not remove the key.
            let secret = objects.get("Secret", "papers-arxiv-operator-client-key");
            assert_eq!(secret.is_ok(), own.is_empty(), "{values}");
            assert!(secret.is_err() || secret.is_ok_and(|secret| secret.get("data").is_none()));
            let role = objects.get("Role", "papers-arxiv-operator-client-key").unwrap();
            let mut expected = rules("client-key");
            expected[0]["resourceNames"] = json!([name]);
            assert_eq!(role["rules"], expected, "{values}");
            let binding = objects
                .get("RoleBinding", "papers-arxiv-operator-client-key")
                .unwrap();
            let subjects = binding["subjects"].as_array().unwrap();
            assert_eq!(subjects.len(), 1, "{values}");
            assert_eq!(
                subjects[0]["name"],
                format!("papers-arxiv-operator-{account}"),
                "{values}"
            );
            for pod in pods(&objects) {
                let key = pod.env().get("CLIENT_KEY_SECRET").cloned();
                let serves = pod.name == format!("papers-arxiv-operator-{account}");
                assert_eq!(key.as_deref(), serves.then_some(name), "{values} {}", pod.name);
            }
        }
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
