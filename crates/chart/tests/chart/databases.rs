//! `postgres.mode: cnpg`: the servers, and the processes' connections to them.

use chart::{Objects, pods, refusal, render};
use serde_json::{Value, json};

const CNPG: &str = "postgres: {mode: cnpg}\n";

fn cluster<'a>(objects: &'a Objects, server: &str) -> &'a Value {
    objects
        .get("Cluster", &format!("papers-arxiv-operator-{server}"))
        .map(|cluster| &cluster["spec"])
        .expect(server)
}

#[test]
fn cnpg_has_two_clusters_with_their_users() {
    let objects = render(CNPG).unwrap();
    for (server, database, owner, roles) in [
        ("data", "arxiv", "arxiv_owner", &["arxiv_rw", "arxiv_ro"][..]),
        (
            "sequence",
            "arxiv_sequence",
            "arxiv_sequence_owner",
            &["arxiv_sequence", "arxiv_operator", "arxiv_upstream"],
        ),
    ] {
        let spec = cluster(&objects, server);
        assert_eq!(
            spec["bootstrap"]["initdb"],
            json!({"database": database, "owner": owner})
        );
        assert_eq!(spec["enableSuperuserAccess"], false);
        let names: Vec<&str> = spec["managed"]["roles"]
            .as_array()
            .unwrap()
            .iter()
            .map(|role| role["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, roles);
        for role in spec["managed"]["roles"].as_array().unwrap() {
            let secret = format!(
                "papers-arxiv-operator-{}",
                role["name"].as_str().unwrap().replace('_', "-")
            );
            assert_eq!(role["passwordSecret"]["name"], secret);
            assert_eq!(role["login"], true);
        }
    }
    for cluster in objects.of("Cluster") {
        assert_eq!(
            cluster["metadata"]["annotations"]["helm.sh/resource-policy"], "keep",
            "data outlives the release"
        );
    }
    assert!(render("").unwrap().of("Cluster").is_empty());
}

#[test]
fn sequence_is_synchronous_unless_single_instance() {
    let objects = render(CNPG).unwrap();
    let synchronous = &cluster(&objects, "sequence")["postgresql"]["synchronous"];
    assert_eq!(
        *synchronous,
        json!({"method": "any", "number": 1, "dataDurability": "required"})
    );
    assert!(cluster(&objects, "data")["postgresql"]["synchronous"].is_null());
    let one = render("postgres: {mode: cnpg, cnpg: {sequence: {instances: 1}}}").unwrap();
    assert!(
        cluster(&one, "sequence")["postgresql"].is_null(),
        "a standby that is not there would block every commit"
    );
}

/// The hosts that the pods of a container connect to, by store.
fn hosts(objects: &Objects, container: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = pods(objects)
        .iter()
        .filter(|pod| pod.container["name"] == container)
        .flat_map(chart::Container::env)
        .filter_map(|(name, value)| {
            let store = name.strip_prefix("DATABASE_")?.strip_suffix("_HOST")?;
            Some((store.to_owned(), value.replace("papers-arxiv-operator-", "")))
        })
        .collect();
    found.sort();
    found
}

#[test]
fn writes_use_primaries_and_reads_use_replicas() {
    for (more, reads, cache) in [
        ("", "data-ro", "true"),
        ("{data: {instances: 1}}", "data-r", "true"),
        ("{readPooler: {enabled: true}}", "data-read-pooler", "false"),
    ] {
        let values = format!(
            "postgres: {{mode: cnpg, cnpg: {}}}",
            if more.is_empty() { "{}" } else { more }
        );
        let objects = render(&values).unwrap();
        let expected = [
            ("RO", reads),
            ("RW", "data-rw"),
            ("SEQUENCE", "sequence-rw"),
            ("UPSTREAM", "sequence-rw"),
        ];
        let expected: Vec<(String, String)> =
            expected.map(|(store, host)| (store.into(), host.into())).into();
        assert_eq!(hosts(&objects, "api-server"), expected, "{values}");
        let expected = [
            ("LEDGER", "sequence-rw"),
            ("RW", "data-rw"),
            ("UPSTREAM", "sequence-rw"),
        ];
        let expected: Vec<(String, String)> =
            expected.map(|(store, host)| (store.into(), host.into())).into();
        assert_eq!(
            hosts(&objects, "operator"),
            expected,
            "the gate is never reached through a pooler"
        );
        let expected = [
            ("OWNER", "data-app/host"),
            ("SEQUENCE_OWNER", "sequence-app/host"),
        ];
        let expected: Vec<(String, String)> =
            expected.map(|(store, host)| (store.into(), host.into())).into();
        assert_eq!(hosts(&objects, "migrate"), expected);
        for pod in pods(&objects) {
            let expected = match pod.container["name"].as_str().unwrap() {
                "api-server" => Some(cache),
                "operator" => Some("true"),
                _ => None,
            };
            assert_eq!(
                pod.env().get("STATEMENT_CACHE").map(String::as_str),
                expected,
                "{values}"
            );
            // Every server is verified by its own CA; a pooler shows the certificate of the server behind it.
            for (name, ca) in pod.env().iter().filter(|(name, _)| name.ends_with("_CA")) {
                let server = if ["DATABASE_RO_CA", "DATABASE_RW_CA", "DATABASE_OWNER_CA"].contains(name) {
                    "papers-arxiv-operator-data-ca/ca.crt"
                } else {
                    "papers-arxiv-operator-sequence-ca/ca.crt"
                };
                assert_eq!(ca, server, "{name}");
                let mode = pod.env().get(name.replace("_CA", "_SSLMODE").as_str()).cloned();
                let pooled = *name == "DATABASE_RO_CA" && reads == "data-read-pooler";
                assert_eq!(mode, pooled.then(|| "verify-ca".to_owned()), "{name}");
            }
            let verified = pod.env().keys().filter(|name| name.ends_with("_CA")).count();
            assert_eq!(verified, pod.stores().len(), "{}", pod.name);
        }
    }
}

#[test]
fn pooler_is_only_for_reads() {
    let objects = render("postgres: {mode: cnpg, cnpg: {readPooler: {enabled: true}}}").unwrap();
    let spec = &objects.only("Pooler").unwrap()["spec"];
    assert_eq!(spec["cluster"]["name"], "papers-arxiv-operator-data");
    assert_eq!(
        (&spec["type"], &spec["pgbouncer"]["poolMode"]),
        (&json!("ro"), &json!("transaction"))
    );
}

#[test]
fn backups_are_scheduled_by_cnpg() {
    let values = "
postgres:
  mode: cnpg
  cnpg:
    data: {spec: {plugins: [{name: barman, isWALArchiver: true}], storage: {size: 1Ti}}}
    scheduledBackup: {enabled: true, pluginConfiguration: {name: barman}}
";
    let objects = render(values).unwrap();
    assert_eq!(
        objects.names("ScheduledBackup"),
        ["papers-arxiv-operator-data", "papers-arxiv-operator-sequence"]
    );
    for backup in objects.of("ScheduledBackup") {
        assert_eq!(backup["spec"]["cluster"]["name"], backup["metadata"]["name"]);
        assert_eq!(backup["spec"]["pluginConfiguration"]["name"], "barman");
    }
    let data = cluster(&objects, "data");
    assert_eq!(data["plugins"][0]["name"], "barman");
    assert_eq!(data["storage"]["size"], "1Ti", "what the spec says wins");
    let message = refusal("postgres: {mode: cnpg, cnpg: {scheduledBackup: {enabled: true}}}").unwrap();
    assert!(message.contains("name the plugin"), "{message}");
}
