//! The chart and the programs have the same settings: the chart sets only existing ones, and each can be set.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chart::{pods, render, root};

/// Each program, and the file with its settings.
const PROGRAMS: [(&str, &[&str]); 3] = [
    (
        "operator",
        &[
            "operator/src/process/settings.rs",
            "crates/upstream/src",
            "crates/service/src/logs",
            "crates/service/src/traces",
        ],
    ),
    (
        "migrate",
        &["operator/src/process/migrate.rs", "crates/service/src/logs"],
    ),
    (
        "api-server",
        &[
            "api-server/src",
            "crates/upstream/src",
            "crates/service/src/logs",
            "crates/service/src/traces",
        ],
    ),
];
/// Settings without a value in the chart, and the reasons.
const UNSET: [&str; 1] = [
    // The Lease is in the namespace of the operator's rights: the watched one, or else the pod's.
    "LEASE_NAMESPACE",
];
/// The chart's settings of traces; the others come with `extraEnv`.
const TRACING: [&str; 3] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
];
const EVERYTHING: &str = "
tracing: {endpoint: 'http://collector:4318', sampler: traceidratio, samplerArgument: 0.1}
className: team-a
operator:
  watchNamespaces: [library]
  priorityCeilings: {library: 7}
  webhooks: {namespaces: [library], networks: [10.96.0.0/12], caBundle: {configMap: ca}}
arxiv: {contact: papers@example.org, proxy: {secret: proxy}, caBundle: {secret: ca}}
networkPolicy: {arxiv: {to: [{podSelector: {}}], ports: [3128]}}
apiServer:
  clients:
    trustedProxies: [10.0.0.0/8, 'fd00::/8']
    publicOrigins: ['http://papers.example']
    corsAllowedOrigins: ['https://other.example']
  settings: {rootPath: /api}
  tls: {secretName: api-tls}
retention: {days: 90}
postgres:
  tls: {mode: verify-full, rootCert: {secret: ca}}
  connections:
    queriesReadWrite: {secret: x}
    resultsReadWrite: {secret: x}
    queriesReadOnly: {secret: x}
    resultsReadOnly: {secret: x}
    queriesOwner: {secret: x}
    resultsOwner: {secret: x}
    upstreamOwner: {secret: x}
migrations: {rolePasswords: {secret: x}}
";

fn sources(path: &Path, text: &mut String) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            sources(&entry.unwrap().path(), text);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        *text += &std::fs::read_to_string(path).unwrap();
    }
}

/// The variables of a database count as one setting: its address, as a URL or in parts. So do a level and a file with it.
fn setting(name: &str) -> String {
    if name == "LOG_LEVEL_FILE" {
        return "LOG_LEVEL".to_owned();
    }
    let parts = [
        "_SSLMODE",
        "_CA_FILE",
        "_URL",
        "_STRING",
        "_HOST",
        "_PORT",
        "_NAME",
        "_USER",
        "_PASSWORD",
        "_FILE",
    ];
    let database = name.starts_with("DATABASE_");
    let base = parts
        .iter()
        .find_map(|part| name.strip_suffix(part).filter(|_| database));
    base.unwrap_or(name).to_owned()
}

/// The variables in a program's `--help`: those of its options, and those in its text.
fn declared(folders: &[&str]) -> BTreeSet<String> {
    let mut text = String::new();
    for folder in folders {
        sources(&root().join(folder), &mut text);
    }
    let text = text
        .lines()
        .filter(|line| !line.contains("_OF_A_TEST"))
        .collect::<Vec<_>>()
        .join("\n");
    let options = text
        .split("env = \"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap());
    // Databases and secrets have no options, because a command line is visible to others.
    let documented = text
        .split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
        .filter(|word| {
            word.starts_with("DATABASE_")
                || word.ends_with("_PASSWORD")
                || *word == "RETENTION_DAYS"
                || TRACING.contains(word)
        })
        .filter(|word| !["NAME_PASSWORD", "_PASSWORD", "DATABASE_"].contains(word));
    options.chain(documented).map(setting).collect()
}

#[test]
fn chart_sets_exactly_the_settings_of_the_programs() {
    let mut set: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for mode in ["together", "frontendBackend", "perEndpoint"] {
        let objects =
            render(&EVERYTHING.replace("apiServer:", &format!("apiServer:\n  mode: {mode}"))).unwrap();
        for pod in pods(&objects) {
            let names = set
                .entry(pod.container["name"].as_str().unwrap().to_owned())
                .or_default();
            let env = pod.env();
            names.extend(env.keys().map(|name| setting(name)));
        }
    }
    for (program, folders) in PROGRAMS {
        let mut declared = declared(folders);
        let set = &set[program];
        let unknown: Vec<_> = set.difference(&declared).collect();
        assert!(unknown.is_empty(), "{program} reads none of {unknown:?}");
        for name in UNSET {
            declared.remove(name);
        }
        let missing: Vec<_> = declared.difference(set).collect();
        assert!(
            missing.is_empty(),
            "{program}: no value of the chart sets {missing:?}"
        );
    }
}

#[test]
fn compose_example_sets_only_existing_settings() {
    let example: serde_json::Value =
        serde_saphyr::from_str(&chart::read("examples/compose/compose.yaml").unwrap()).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let mut settings = 0;
    for (name, service) in example["services"].as_object().unwrap() {
        let (program, image) = if service["command"] == serde_json::json!(["migrate"]) {
            ("migrate", "arxiv-operator")
        } else {
            ("api-server", "arxiv-api-server")
        };
        assert_eq!(service["image"], format!("{image}:{version}"), "{name}");
        let (_, folders) = PROGRAMS.into_iter().find(|(known, _)| *known == program).unwrap();
        let declared = declared(folders);
        for variable in service["environment"].as_object().unwrap().keys() {
            // Each of them can be the name of a file.
            let known = setting(variable.trim_end_matches("_FILE"));
            assert!(declared.contains(&known), "{name}: {program} reads no {variable}");
            settings += 1;
        }
    }
    assert!(settings > 10, "{settings}");
}

#[test]
fn values_reach_environment_unchanged() {
    let values = "
arxiv: {cooldownBaseMilliseconds: 20000}
operator: {replicas: 1, priorityCeilings: {'*': 0, team-a: 100}, retryBaseMilliseconds: 5000, leaderElection: {enabled: false, leaseName: ours}}
retention: {days: 90}
apiServer:
  clients: {searchesPerMinute: 0, burst: 3, trustedProxies: [10.0.0.0/8, 'fd00::/8'], trustedProxiesHeader: forwarded,
    allowedHosts: ['*'], publicOrigins: ['http://papers.example'], corsAllowedOrigins: ['https://a.example', 'https://b.example'], maxPending: 1000000, maxPendingPerClient: 7, maxPriority: -1}
  settings: {rootPath: /api, timezoneOffset: -3.75}
";
    let objects = render(values).unwrap();
    let all = pods(&objects);
    let env = |container: &str| {
        let pod = all.iter().find(|pod| pod.container["name"] == container);
        pod.map(chart::Container::env).unwrap_or_default()
    };
    for (container, name, value) in [
        ("operator", "COOLDOWN_BASE_MS", "20000"),
        ("operator", "RETRY_BASE_MS", "5000"),
        ("operator", "LEADER_ELECTION", "false"),
        ("operator", "LEASE_NAME", "ours"),
        ("operator", "PRIORITY_CEILINGS", "*=0,team-a=100"),
        ("api-server", "PRIORITY_CEILINGS", "*=0,team-a=100"),
        ("migrate", "RETENTION_DAYS", "90"),
        ("api-server", "COOLDOWN_BASE_MS", "20000"),
        ("api-server", "CLIENT_SEARCHES_PER_MINUTE", "0"),
        ("api-server", "CLIENT_BURST", "3"),
        ("api-server", "TRUSTED_PROXIES", "10.0.0.0/8,fd00::/8"),
        ("api-server", "TRUSTED_PROXIES_HEADER", "forwarded"),
        ("api-server", "PUBLIC_ORIGINS", "http://papers.example"),
        (
            "api-server",
            "CORS_ALLOWED_ORIGINS",
            "https://a.example,https://b.example",
        ),
        ("api-server", "ARXIV_MAX_PENDING", "1000000"),
        ("api-server", "ARXIV_MAX_PENDING_PER_CLIENT", "7"),
        ("api-server", "ARXIV_MAX_PRIORITY", "-1"),
        ("api-server", "ROOT_PATH", "/api"),
        ("api-server", "TIMEZONE_OFFSET", "-3.75"),
    ] {
        assert_eq!(
            env(container).get(name).map(String::as_str),
            Some(value),
            "{name}"
        );
    }
    let plain = render("").unwrap();
    for pod in pods(&plain) {
        assert!(
            !pod.env().contains_key("RETENTION_DAYS"),
            "rows are kept for ever"
        );
    }
    assert!(
        objects
            .of("Role")
            .iter()
            .all(|role| !role.to_string().contains("leases"))
    );
    let message = chart::refusal("operator: {leaderElection: {enabled: false}}").unwrap();
    assert!(message.contains("set operator.replicas to 1"), "{message}");
}
