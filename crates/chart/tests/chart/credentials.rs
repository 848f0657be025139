//! Each process has only the credentials that it needs, whatever the form of the Secrets.

use std::collections::BTreeSet;

use chart::{operator, pods, refusal, render};

#[test]
fn process_has_only_its_credentials() {
    let all = ["RO", "RW", "SEQUENCE", "UPSTREAM"];
    let expected: &[(&str, &[&str])] = &[
        ("operator", &["LEDGER", "RW", "UPSTREAM"]),
        ("migrate", &["OWNER", "SEQUENCE_OWNER"]),
        ("test", &[]),
        ("api", &all),
        ("frontend", &["RO"]),
        ("backend", &all),
        ("arxiv", &["RO"]),
        ("queries", &["RO"]),
        ("queries-post", &["RO"]),
        ("results", &["RO"]),
        ("read-queries", &["RO"]),
        ("read-results", &["RO"]),
        ("arxiv-api", &["UPSTREAM"]),
        ("get-sequence", &["SEQUENCE"]),
        ("write-queries", &["RW"]),
        ("write-results", &["RW"]),
    ];
    let mut seen = BTreeSet::new();
    for mode in ["together", "frontendBackend", "perEndpoint"] {
        for postgres in ["external", "cnpg"] {
            let objects = render(&format!(
                "apiServer: {{mode: {mode}}}\npostgres: {{mode: {postgres}}}"
            ))
            .unwrap();
            for pod in pods(&objects) {
                let short = pod.name.strip_prefix("papers-arxiv-operator-").unwrap();
                let short = if short.starts_with("migrate") {
                    "migrate"
                } else {
                    short
                };
                let (_, stores) = expected.iter().find(|(name, _)| *name == short).unwrap();
                assert_eq!(pod.stores(), *stores, "{mode} {postgres} {short}");
                seen.insert(short.to_owned());
                let secrets: BTreeSet<String> = pod
                    .env()
                    .iter()
                    .filter(|(name, _)| name.ends_with("_URL") && name.starts_with("DATABASE"))
                    .map(|(_, value)| value.clone())
                    .collect();
                if postgres == "external" {
                    assert_eq!(secrets.len(), stores.len(), "{short}: a key for each");
                }
            }
        }
    }
    assert_eq!(seen.len(), expected.len());
}

#[test]
fn credentials_are_read_from_url_or_parts() {
    let values = "
postgres:
  connections:
    readWrite: {secret: whole, keys: {url: uri}}
    ledger: {secret: app, keys: {host: host, port: port, database: dbname, user: username, password: password}}
    upstream: {secret: word, keys: {password: pw}, host: pg.example, port: 6432}
    resultsReadWrite: {secret: elsewhere, keys: {password: pw}, host: other.example}
";
    let objects = render(values).unwrap();
    let pods = pods(&objects);
    let operator = operator(&objects).unwrap();
    let env = operator.env();
    let databases: Vec<(&str, &str)> = env
        .iter()
        .filter(|(name, _)| name.starts_with("DATABASE_"))
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    assert_eq!(
        databases,
        [
            ("DATABASE_LEDGER_HOST", "app/host"),
            ("DATABASE_LEDGER_NAME", "app/dbname"),
            ("DATABASE_LEDGER_PASSWORD", "app/password"),
            ("DATABASE_LEDGER_PORT", "app/port"),
            ("DATABASE_LEDGER_USER", "app/username"),
            ("DATABASE_RESULTS_RW_HOST", "other.example"),
            ("DATABASE_RESULTS_RW_NAME", "arxiv"),
            ("DATABASE_RESULTS_RW_PASSWORD", "elsewhere/pw"),
            ("DATABASE_RESULTS_RW_PORT", "5432"),
            ("DATABASE_RESULTS_RW_USER", "arxiv_rw"),
            ("DATABASE_RW_URL", "whole/uri"),
            ("DATABASE_UPSTREAM_HOST", "pg.example"),
            ("DATABASE_UPSTREAM_NAME", "arxiv_sequence"),
            ("DATABASE_UPSTREAM_PASSWORD", "word/pw"),
            ("DATABASE_UPSTREAM_PORT", "6432"),
            ("DATABASE_UPSTREAM_USER", "arxiv_upstream"),
        ]
    );
    let migrate = pods
        .iter()
        .find(|pod| pod.container["name"] == "migrate")
        .unwrap()
        .env();
    for (name, value) in [
        ("ARXIV_OPERATOR_PASSWORD", Some("app/password")),
        ("ARXIV_UPSTREAM_PASSWORD", Some("word/pw")),
        ("ARXIV_RW_PASSWORD", None),
    ] {
        assert_eq!(
            migrate.get(name).map(String::as_str),
            value,
            "{name}: it is in a URL or separate"
        );
    }
    let message = refusal("postgres: {connections: {readWrite: {secret: x, keys: {password: pw}}}}").unwrap();
    assert!(
        message.contains("postgres.connections.readWrite: host is neither given nor one of its keys"),
        "{message}"
    );
}

#[test]
fn role_passwords_are_only_in_migrations() {
    let objects = render("migrations: {rolePasswords: {secret: new-users}}").unwrap();
    for pod in pods(&objects) {
        let passwords = pod
            .env()
            .values()
            .filter(|value| value.starts_with("new-users/arxiv_"))
            .count();
        assert_eq!(
            passwords,
            if pod.container["name"] == "migrate" { 5 } else { 0 },
            "{}",
            pod.name
        );
    }
}

#[test]
fn credentials_are_files_that_the_kubelet_updates() {
    let values = "
postgres:
  connections:
    ledger: {secret: app, keys: {user: username, password: password}, host: h, rootCert: {configMap: own-ca}}
migrations: {rolePasswords: {secret: new-users}}
";
    let objects = render(values).unwrap();
    for pod in pods(&objects).iter().filter(|pod| pod.kind != "Pod") {
        let env = pod.container["env"].as_array().unwrap();
        for entry in env {
            let name = entry["name"].as_str().unwrap();
            let is_secret =
                ["_URL", "_PASSWORD"].iter().any(|end| name.ends_with(end)) && name != "ARXIV_API_URL";
            assert!(!is_secret && entry["valueFrom"].is_null(), "{name} is a variable");
        }
        let mounts = pod.container["volumeMounts"].as_array().unwrap();
        assert!(
            mounts
                .iter()
                .any(|mount| mount["mountPath"] == "/etc/arxiv-operator/databases")
        );
        // A file that is mounted by itself is never updated.
        assert!(
            mounts.iter().all(|mount| mount["subPath"].is_null()),
            "{}",
            pod.name
        );
    }
    let operator = operator(&objects).unwrap();
    let env = operator.env();
    assert_eq!(env["DATABASE_LEDGER_USER"], "app/username");
    assert_eq!(env["DATABASE_LEDGER_CA"], "own-ca/ca.crt");
}

#[test]
fn api_over_tls_has_its_certificate_as_files_and_is_probed_over_tls() {
    let values = "apiServer: {mode: frontendBackend, tls: {secretName: api-tls}}";
    let objects = render(values).unwrap();
    for pod in pods(&objects) {
        if pod.container["name"] != "api-server" {
            assert!(!pod.env().contains_key("TLS_CERT_FILE"), "{}", pod.name);
            continue;
        }
        let volumes = pod.pod["volumes"].as_array().unwrap();
        assert!(
            volumes
                .iter()
                .any(|volume| volume["secret"]["secretName"] == "api-tls")
        );
        assert_eq!(pod.env()["TLS_KEY_FILE"], "/etc/arxiv-operator/tls/tls.key");
        for probe in ["livenessProbe", "readinessProbe"] {
            assert_eq!(pod.container[probe]["httpGet"]["scheme"], "HTTPS", "{}", pod.name);
        }
        let service = objects.get("Service", pod.name).unwrap();
        assert_eq!(service["spec"]["ports"][0]["appProtocol"], "https");
    }
    let test = objects.get("Pod", "papers-arxiv-operator-test").unwrap();
    assert!(
        test.to_string()
            .contains("https://papers-arxiv-operator-frontend:")
    );
}
