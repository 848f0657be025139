//! The steps of docs/install.md, and the two examples for production: they hold what the page promises.

use std::process::{Command, Stdio};

use chart::{Objects, pods, read, render};
use serde_json::Value;
use testbed::TempDir;

use crate::cluster::cluster;

const SMALL: &str = "examples/values-production.yaml";
const LARGE: &str = "examples/values-production-large.yaml";

/// The content of the page's blocks of this language.
fn blocks(language: &str) -> Vec<String> {
    let page = read("docs/install.md").unwrap();
    let fence = format!("```{language}\n");
    let blocks = page.split(&fence).skip(1);
    blocks
        .map(|rest| rest.split_once("```").unwrap().0.to_owned())
        .collect()
}

/// The page's commands with this beginning.
fn commands(begin: &str) -> Vec<String> {
    let blocks = blocks("sh").concat();
    let lines = blocks.lines().filter(|line| line.starts_with(begin));
    lines.map(str::to_owned).collect()
}

/// The most connections of the API server and of the operators to a server that has everything.
fn connections(objects: &Objects) -> (u64, u64) {
    let mut of_api = 0;
    for pod in pods(objects)
        .iter()
        .filter(|pod| pod.container["name"] == "api-server")
    {
        let scaler = objects.get("HorizontalPodAutoscaler", pod.name).unwrap();
        let most = scaler["spec"]["maxReplicas"].as_u64().unwrap() + 1;
        let pool: u64 = pod.env()["DATABASE_MAX_CONNECTIONS"].parse().unwrap();
        let stores = pod.stores();
        let gate = u64::from(stores.iter().any(|store| store == "UPSTREAM"));
        of_api += most * (pool * u64::try_from(stores.len()).unwrap() + gate);
    }
    let operators = objects.of("Deployment");
    let operator = operators
        .iter()
        .find(|one| one["metadata"]["name"].as_str().unwrap().ends_with("-operator"));
    let replicas = operator.unwrap()["spec"]["replicas"].as_u64().unwrap() + 1;
    (of_api, replicas * (10 + 4 + 5))
}

#[test]
fn small_production_example_fits_the_documented_max_connections() {
    let page = read("docs/install.md").unwrap();
    let (api, operators) = connections(&render(&read(SMALL).unwrap()).unwrap());
    let row = page
        .lines()
        .find(|line| line.starts_with("| `max_connections` |"))
        .unwrap();
    let number = |text: &str| -> u64 {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        digits.parse().unwrap()
    };
    let documented = number(row.split('|').nth(2).unwrap());
    assert!(row.contains(&format!("{api} of the API server")), "{api}: {row}");
    assert!(
        row.contains(&format!("{operators} of the operators")),
        "{operators}: {row}"
    );
    // Those of the migrations, and three that Postgres keeps for superusers.
    assert!(documented >= api + operators + 5 + 3, "{documented}");
    assert!(
        read(SMALL)
            .unwrap()
            .contains(&format!("max_connections = {documented}"))
    );

    let (api, operators) = connections(&render(&blocks("yaml")[0]).unwrap());
    let (_, rest) = page.split_once("needs `max_connections` of ").unwrap();
    let documented = number(rest.split_whitespace().next().unwrap());
    assert!(
        documented >= api + operators + 5 + 3,
        "{documented} for {api} and {operators}"
    );
}

#[test]
fn production_examples_verify_the_server_and_open_only_what_they_name() {
    for (file, verified) in [(SMALL, true), (LARGE, false)] {
        let objects = render(&read(file).unwrap()).unwrap();
        for pod in pods(&objects) {
            let env = pod.env();
            if verified && env.keys().any(|name| name.starts_with("DATABASE_")) {
                assert_eq!(env["DATABASE_SSLMODE"], "verify-full", "{file}: {}", pod.name);
                assert!(env.contains_key("DATABASE_CA_FILE"), "{file}: {}", pod.name);
            }
            if let Some(trusted) = env.get("TRUSTED_PROXIES") {
                for network in trusted.split(',') {
                    let length = network
                        .split_once('/')
                        .map_or(32, |(_, length)| length.parse().unwrap());
                    assert!(length >= 28, "{file}: {network} is more than a few pods");
                }
            } else {
                assert_ne!(pod.container["name"], "api-server", "{file}: {}", pod.name);
            }
        }
        let rules = objects.of("NetworkPolicy");
        let rules = rules
            .iter()
            .flat_map(|policy| ["ingress", "egress"].map(|way| &policy["spec"][way]));
        for rule in rules.filter_map(Value::as_array).flatten() {
            let peers = rule["to"].as_array().or(rule["from"].as_array());
            let peers = peers.unwrap_or_else(|| panic!("{file}: open to any address: {rule}"));
            let public = peers.iter().any(|peer| peer["ipBlock"]["cidr"] == "0.0.0.0/0");
            let ports: Vec<_> = rule["ports"]
                .as_array()
                .unwrap()
                .iter()
                .map(|port| &port["port"])
                .collect();
            assert!(!public || ports == [&Value::from(443)], "{file}: {rule}");
            for peer in peers.iter().filter(|peer| peer.to_string().contains("gateways")) {
                let gateway = &peer["podSelector"]["matchLabels"]["gateway.networking.k8s.io/gateway-name"];
                assert_eq!(gateway, "public", "{file}: {peer}");
            }
        }
        assert_eq!(objects.of("HTTPRoute").len(), 1, "{file}");
        assert_eq!(objects.of("PrometheusRule").len(), 1, "{file}");
    }
}

#[test]
fn small_production_example_is_small_and_the_large_one_has_backups() {
    let small = render(&read(SMALL).unwrap()).unwrap();
    assert_eq!(small.of("Deployment").len(), 2);
    assert!(small.of("Cluster").is_empty(), "the server is the user's");
    let large = render(&read(LARGE).unwrap()).unwrap();
    assert_eq!(large.of("HorizontalPodAutoscaler").len(), 8);
    let clusters: Vec<_> = large.names("Cluster");
    let backups = large.of("ScheduledBackup");
    let backed_up: Vec<_> = backups
        .iter()
        .map(|backup| backup["spec"]["cluster"]["name"].as_str().unwrap())
        .collect();
    assert_eq!((clusters.len(), &clusters), (2, &backed_up));
    for cluster in large.of("Cluster") {
        assert_eq!(cluster["spec"]["plugins"][0]["isWALArchiver"], true, "{cluster}");
    }
}

/// The Secrets and their keys in a part of a pod's spec: of variables and of files.
fn secret_keys(part: &Value, found: &mut Vec<(String, String)>) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if let Some(map) = part.as_object() {
        if let Some(key) = map.get("secretKeyRef") {
            found.push((text(&key["name"]), text(&key["key"])));
        }
        if let Some(secret) = map.get("secret") {
            let name = secret.get("secretName").unwrap_or(&secret["name"]);
            let items = secret["items"].as_array().into_iter().flatten();
            found.extend(items.map(|item| (text(name), text(&item["key"]))));
        }
        map.values().for_each(|value| secret_keys(value, found));
    }
    part.as_array()
        .into_iter()
        .flatten()
        .for_each(|value| secret_keys(value, found));
}

/// The Secrets by their keys, which pods read.
fn read_keys(objects: &Objects) -> Vec<(String, String)> {
    let mut keys = Vec::new();
    for pod in pods(objects) {
        secret_keys(pod.pod, &mut keys);
    }
    keys.sort();
    keys.dedup();
    keys
}

/// The page's commands make what the page's values and the small example read.
#[tokio::test]
async fn secrets_of_the_page_have_the_keys_that_pods_read() {
    let cluster = cluster().await;
    let folder = TempDir::new("install").unwrap();
    std::fs::write(folder.path().join("databases.env"), &blocks("ini")[0]).unwrap();
    std::fs::write(folder.path().join("ca.crt"), "certificate").unwrap();
    let shell = commands("kubectl ")
        .into_iter()
        .filter(|command| command.contains(" create "));
    let script = shell.collect::<Vec<_>>().join("\n");
    assert_eq!(script.lines().count(), 3);
    let programs = cluster.kubectl.parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(programs).chain(std::env::split_paths(&path)));
    let output = Command::new("sh")
        .args(["-e", "-c", &script])
        .current_dir(folder.path())
        .env("KUBECONFIG", &cluster.kubeconfig)
        .env("PATH", path.unwrap())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{script}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut made = Vec::new();
    for name in ["arxiv-operator-postgres", "postgres-ca"] {
        let secret = cluster.succeeds(&["-n", "arxiv", "get", "secret", name, "-o", "json"], "");
        let secret: Value = serde_json::from_str(&secret).unwrap();
        let keys = secret["data"].as_object().unwrap().keys();
        made.extend(keys.map(|key| (name.to_owned(), key.clone())));
    }
    made.sort();
    let release = &commands("helm install ")[0];
    let release = release.split_whitespace().nth(2).unwrap();
    for values in [read(SMALL).unwrap(), blocks("yaml")[0].clone()] {
        let named = format!("{values}\nfullnameOverride: {release}\n");
        assert_eq!(read_keys(&render(&named).unwrap()), made, "{values}");
    }
}

#[test]
fn log_command_of_the_pages_selects_the_pods_of_the_migrations() {
    let pages = ["docs/install.md", "docs/upgrading.md"].map(|page| read(page).unwrap());
    let objects = render("").unwrap();
    let labels = &objects.only("Job").unwrap()["spec"]["template"]["metadata"]["labels"];
    for page in pages {
        let command = page
            .lines()
            .find(|line| line.starts_with("kubectl -n arxiv logs "))
            .unwrap();
        let (_, selector) = command.split_once("--selector ").unwrap();
        let (label, value) = selector
            .split_whitespace()
            .next()
            .unwrap()
            .split_once('=')
            .unwrap();
        assert_eq!(labels[label], value, "{command}");
    }
}
