//! Rights: those of the files in `rbac/`, no more, and only where they are needed.

use chart::{NAMESPACE, Objects, operator, pods, read, render};
use serde_json::{Value, json};

pub(crate) fn rules(file: &str) -> Value {
    let text = read(&format!("charts/arxiv-operator/rbac/{file}.yaml")).unwrap_or_default();
    let parsed: Value = serde_saphyr::from_str(&text).unwrap_or_default();
    parsed["rules"].clone()
}

/// The rights of the operator's account: kind of the role, its namespace, its rules.
fn given_to_the_operator(objects: &Objects) -> Vec<(&str, Option<&str>, &Value)> {
    let mut given = Vec::new();
    for kind in ["ClusterRole", "Role"] {
        for binding in objects.of(&format!("{kind}Binding")) {
            if binding["subjects"][0]["name"] != "papers-arxiv-operator-operator" {
                continue;
            }
            assert_eq!(binding["subjects"].as_array().unwrap().len(), 1);
            assert_eq!(binding["subjects"][0]["namespace"], NAMESPACE);
            assert_eq!(binding["roleRef"]["kind"], kind);
            let namespace = binding["metadata"]["namespace"].as_str();
            let roles = objects.of(kind);
            let mut roles = roles.iter().filter(|role| {
                let metadata = &role["metadata"];
                metadata["name"] == binding["roleRef"]["name"] && metadata["namespace"].as_str() == namespace
            });
            given.push((kind, namespace, &roles.next().unwrap()["rules"]));
            assert!(roles.next().is_none(), "two roles of one name");
        }
    }
    given
}

#[test]
fn operator_rights_equal_rules_files() {
    let (watches, lease) = (rules("operator"), rules("operator-lease"));
    let webhooks = rules("operator-webhooks");
    for (values, expected) in [
        (
            "",
            vec![("ClusterRole", None, &watches), ("Role", Some(NAMESPACE), &lease)],
        ),
        (
            "operator: {watchNamespaces: [papers]}",
            vec![
                ("Role", Some("papers"), &watches),
                ("Role", Some("papers"), &lease),
            ],
        ),
        (
            "operator: {watchNamespaces: [papers, team-a, papers]}",
            vec![
                ("Role", Some("papers"), &watches),
                ("Role", Some("team-a"), &watches),
                ("Role", Some(NAMESPACE), &lease),
            ],
        ),
        (
            "operator: {webhooks: {namespaces: [team-a, team-b, team-a]}}",
            vec![
                ("ClusterRole", None, &watches),
                ("Role", Some(NAMESPACE), &lease),
                ("Role", Some("team-a"), &webhooks),
                ("Role", Some("team-b"), &webhooks),
            ],
        ),
        (
            "operator: {replicas: 1, leaderElection: {enabled: false}}",
            vec![("ClusterRole", None, &watches)],
        ),
    ] {
        let objects = render(values).unwrap();
        assert_eq!(given_to_the_operator(&objects), expected, "{values}");
    }
    for rules in [watches, lease, webhooks] {
        assert!(rules.as_array().is_some_and(|rules| !rules.is_empty()));
    }
    let objects = render("operator: {leaderElection: {leaseName: papers}}").unwrap();
    let lease = objects
        .get("Role", "papers-arxiv-operator-operator-lease")
        .unwrap();
    assert_eq!(lease["rules"][1]["resourceNames"], json!(["papers"]));
    let operator = operator(&objects).unwrap();
    assert_eq!(operator.env()["LEASE_NAME"], "papers");
}

#[test]
fn class_is_in_every_setting_and_in_the_names_of_leases() {
    let objects = render("className: team-a").unwrap();
    let operator = objects
        .get("ClusterRole", "library.papers-arxiv-operator-operator")
        .unwrap();
    let named: Vec<_> = operator["rules"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|rule| rule["resourceNames"].as_array())
        .collect();
    assert_eq!(named, [&vec![json!("arxiv-operator-class-team-a")]]);
    let lease = objects
        .get("Role", "papers-arxiv-operator-operator-lease")
        .unwrap();
    assert_eq!(
        lease["rules"][1]["resourceNames"],
        json!(["arxiv-operator-team-a"])
    );
    for pod in pods(&objects) {
        let works = ["operator", "api-server"].contains(&pod.container["name"].as_str().unwrap())
            && (pod.container["name"] == "operator" || pod.env().contains_key("NAMESPACE"));
        let class = pod.env().get("CLASS_NAME").cloned();
        assert_eq!(
            class.is_some_and(|class| class == "team-a"),
            works,
            "{}",
            pod.name
        );
    }
    for wrong in ["className: Team", "className: a.b", "className: -a"] {
        assert!(render(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn watched_namespace_leaves_no_cluster_wide_right() {
    let objects = render("operator: {watchNamespaces: [papers]}\nrbac: {aggregate: false}\napiServer: {access: {endpoints: off}}").unwrap();
    assert!(objects.of("ClusterRole").is_empty() && objects.of("ClusterRoleBinding").is_empty());
    let pods = pods(&objects);
    let operator = operator(&objects).unwrap();
    assert_eq!(operator.env()["WATCH_NAMESPACE"], "papers");
    let api = pods
        .iter()
        .find(|pod| pod.container["name"] == "api-server")
        .unwrap();
    assert_eq!(api.env()["NAMESPACE"], "papers", "what it makes must be run");
    let message =
        chart::refusal("operator: {watchNamespaces: [papers]}\napiServer: {queryNamespace: other}").unwrap();
    assert!(message.contains("the operator watches papers alone"), "{message}");
}

#[test]
fn api_server_makes_objects_in_a_namespace_that_is_watched() {
    for (watched, expected) in [
        ("", NAMESPACE),
        ("team-a, library", NAMESPACE),
        ("team-b, team-a", "team-b"),
    ] {
        let objects = render(&format!("operator: {{watchNamespaces: [{watched}]}}")).unwrap();
        let pods = pods(&objects);
        let api = pods.iter().find(|pod| pod.container["name"] == "api-server");
        assert_eq!(api.unwrap().env()["NAMESPACE"], expected, "{watched}");
        let operator = pods.iter().find(|pod| pod.container["name"] == "operator");
        let listed = watched.replace(' ', "");
        let given = operator.unwrap().env().get("WATCH_NAMESPACE").cloned();
        assert_eq!(given.unwrap_or_default(), *listed, "{watched}");
        let role = objects.get("Role", "papers-arxiv-operator-api").unwrap();
        assert_eq!(role["metadata"]["namespace"], expected, "{watched}");
    }
}

fn sorted(mut names: [&str; 3]) -> [&str; 3] {
    names.sort_unstable();
    names
}

#[test]
fn only_arxiv_deployments_may_create_objects() {
    for (mode, serving) in [
        ("together", "api"),
        ("frontendBackend", "frontend"),
        ("perEndpoint", "arxiv"),
    ] {
        let objects = render(&format!(
            "apiServer: {{mode: {mode}, queryNamespace: queries, access: {{endpoints: off}}}}"
        ))
        .unwrap();
        let name = format!("papers-arxiv-operator-{serving}");
        // In addition to those for the operator's Lease and for the key of clients' labels.
        let lease = "papers-arxiv-operator-operator-lease";
        let key = "papers-arxiv-operator-client-key";
        assert_eq!(objects.names("Role"), sorted([lease, key, &name]), "{mode}");
        assert_eq!(
            objects.names("RoleBinding"),
            sorted([lease, key, &name]),
            "{mode}"
        );
        let role = objects.get("Role", &name).unwrap();
        assert_eq!(role["rules"], rules("api-server"), "{mode}");
        assert_eq!(role["metadata"]["namespace"], "queries", "{mode}");
        let binding = objects.get("RoleBinding", &name).unwrap();
        assert_eq!(binding["metadata"]["namespace"], "queries", "{mode}");
        assert_eq!(binding["roleRef"]["name"], role["metadata"]["name"], "{mode}");
        assert_eq!(
            binding["subjects"],
            json!([{"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}]),
            "{mode}"
        );
        for pod in pods(&objects) {
            let talks = pod.container["name"] == "operator" || pod.name == name;
            assert_eq!(
                pod.pod["automountServiceAccountToken"], talks,
                "{mode} {}",
                pod.name
            );
            assert_eq!(
                pod.env().contains_key("NAMESPACE"),
                pod.name == name,
                "{mode} {}",
                pod.name
            );
        }
    }
}

#[test]
fn aggregated_roles_exclude_status() {
    let objects = render("").unwrap();
    for (role, labels) in [
        ("view", &["view", "edit", "admin"][..]),
        ("edit", &["edit", "admin"]),
    ] {
        let role = objects
            .get("ClusterRole", &format!("library.papers-arxiv-operator-{role}"))
            .unwrap();
        let aggregated: Vec<&str> = role["metadata"]["labels"]
            .as_object()
            .unwrap()
            .keys()
            .filter_map(|label| label.strip_prefix("rbac.authorization.k8s.io/aggregate-to-"))
            .collect();
        for label in labels {
            assert!(aggregated.contains(label), "{label}");
        }
        assert_eq!(aggregated.len(), labels.len());
        for rule in role["rules"].as_array().unwrap() {
            assert_eq!(
                rule["resources"],
                json!(["arxivfeeds", "arxivqueries"]),
                "no status, no star"
            );
            assert!(!rule["verbs"].as_array().unwrap().contains(&json!("*")));
        }
    }
    assert!(
        !render("rbac: {aggregate: false}")
            .unwrap()
            .names("ClusterRole")
            .iter()
            .any(|name| name.ends_with("-view") || name.ends_with("-edit"))
    );
}
