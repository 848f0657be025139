//! The network policies as an independent analyser reads them, against the table in docs/network.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use chart::{Objects, allowed_flows, pods, render};
use serde_json::{Value, json};
use testbed::go_tools::GoTools;
use testbed::scratch::Scratch;

const CYCLONUS: GoTools = GoTools {
    name: "cyclonus",
    takes: "about a minute",
    go_mod: include_str!("../../cyclonus/go.mod"),
    go_sum: include_str!("../../cyclonus/go.sum"),
    programs: &[("cyclonus", "cyclonus")],
    ..GoTools::PLAIN
};

const VALUES: &str = "
apiServer: {mode: perEndpoint}
networkPolicy:
  from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress}}}]
  metricsFrom: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]
  postgres: {to: [{ipBlock: {cidr: 10.1.2.5/32}}]}
  kubeApiServer: {to: [{ipBlock: {cidr: 10.1.2.6/32}}]}
";

/// Ports that are asked about, each by both protocols.
const PORTS: [u16; 7] = [53, 80, 443, 5432, 6443, 8000, 8080];

/// Everybody who may want something of somebody, by the name in the table: pods of the release and the rest of the world.
fn peers(objects: &Objects) -> BTreeMap<String, Value> {
    let pod = |namespace: &str, labels: Value| {
        json!({"IP": "10.244.0.9", "Internal": {
            "Namespace": namespace,
            "NamespaceLabels": {"kubernetes.io/metadata.name": namespace},
            "PodLabels": labels,
        }})
    };
    let outside = |address: &str| json!({"IP": address});
    let mut peers = BTreeMap::from([
        ("clients".into(), pod("ingress", json!({"app": "nginx"}))),
        (
            "Prometheus".into(),
            pod("monitoring", json!({"app": "prometheus"})),
        ),
        ("DNS".into(), pod("kube-system", json!({"k8s-app": "kube-dns"}))),
        ("databases".into(), outside("10.1.2.5")),
        ("Kubernetes".into(), outside("10.1.2.6")),
        // A public address; the documentation's own would do as well, were it not that policies may exempt them.
        ("arXiv".into(), outside("151.101.3.42")),
        (
            "a pod beside".into(),
            pod(chart::NAMESPACE, json!({"app": "stranger"})),
        ),
        (
            "a pod elsewhere".into(),
            pod("elsewhere", json!({"app": "stranger"})),
        ),
        ("a private address".into(), outside("10.99.0.1")),
    ]);
    for own in pods(objects) {
        let labels = &own.metadata["labels"];
        let component = labels["app.kubernetes.io/component"].as_str().unwrap();
        let name = match component {
            "api-server" => own.name.split_once("arxiv-operator-").unwrap().1,
            other => other,
        };
        let of_test = |labels: &Value| pod(chart::NAMESPACE, labels.clone());
        peers.insert(name.to_owned(), of_test(labels));
    }
    peers
}

#[test]
fn an_independent_analyser_allows_what_the_table_says_and_nothing_else() {
    let cyclonus = CYCLONUS.ready().unwrap().join("cyclonus");
    let objects = render(VALUES).unwrap();
    let scratch = Scratch::new("cyclonus").unwrap();
    let policies = scratch.path().join("policies");
    fs::create_dir(&policies).unwrap();
    for (number, policy) in objects.of("NetworkPolicy").into_iter().enumerate() {
        fs::write(policies.join(format!("{number}.yaml")), policy.to_string()).unwrap();
    }

    let peers = peers(&objects);
    let allowed = allowed_flows().unwrap();
    for (from, to, _) in &allowed {
        assert!(
            peers.contains_key(from) && peers.contains_key(to),
            "{from} → {to}"
        );
    }
    let own: BTreeSet<&String> = peers
        .iter()
        .filter(|(_, peer)| peer["Internal"]["PodLabels"]["app.kubernetes.io/instance"] == chart::RELEASE)
        .map(|(name, _)| name)
        .collect();
    assert_eq!(own.len(), 13, "{own:?}");

    let mut asked = Vec::new();
    let mut traffic = Vec::new();
    for (from, source) in &peers {
        for (to, destination) in &peers {
            // What neither end of is ours is nobody's business here.
            if from == to || !(own.contains(from) || own.contains(to)) {
                continue;
            }
            for port in PORTS {
                for protocol in ["TCP", "UDP"] {
                    let listens = if to == "operator" { 8080 } else { 8000 };
                    let name = if own.contains(to) && port == listens {
                        "http"
                    } else {
                        ""
                    };
                    traffic.push(json!({
                        "Source": source, "Destination": destination,
                        "ResolvedPort": port, "ResolvedPortName": name, "Protocol": protocol,
                    }));
                    asked.push((from.clone(), to.clone(), port, protocol));
                }
            }
        }
    }
    let file = scratch.path().join("traffic.json");
    fs::write(&file, serde_json::to_string(&traffic).unwrap()).unwrap();
    let output = Command::new(cyclonus)
        .args(["analyze", "--mode", "query-traffic", "--policy-path"])
        .arg(&policies)
        .arg("--traffic-path")
        .arg(&file)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).to_lowercase();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let verdicts: Vec<bool> = told
        .lines()
        .filter(|line| line.contains("is allowed?") && line.contains('|'))
        .map(|line| line.contains("true"))
        .collect();
    assert_eq!(verdicts.len(), asked.len());

    let (mut yes, mut no) = (0, 0);
    for ((from, to, port, protocol), verdict) in asked.into_iter().zip(verdicts) {
        // Names are looked up by either protocol, everything else is TCP.
        let right_protocol = protocol == "TCP" || port == 53;
        let expected = right_protocol && allowed.contains(&(from.clone(), to.clone(), port));
        assert_eq!(verdict, expected, "{from} → {to}: {port} {protocol}");
        *(if verdict { &mut yes } else { &mut no }) += 1;
    }
    assert!(yes > 50 && no > 2000, "{yes} allowed, {no} denied");
}
