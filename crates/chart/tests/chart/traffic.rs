//! An independent analyser's reading of the network policies is compared with the tables in docs/network.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use chart::{Flow, Objects, flows_below, pods, render};
use serde_json::{Value, json};
use testbed::TempDir;
use testbed::tools::GoTools;

const CYCLONUS: GoTools = GoTools {
    name: "cyclonus",
    build_time: "about a minute",
    go_mod: include_str!("../../cyclonus/go.mod"),
    go_sum: include_str!("../../cyclonus/go.sum"),
    programs: &[("cyclonus", "cyclonus")],
    ..GoTools::DEFAULT
};

const NARROWED: &str = "
apiServer: {mode: perEndpoint}
networkPolicy:
  from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress}}}]
  metricsFrom: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]
  postgres: {to: [{ipBlock: {cidr: 10.1.2.5/32}}]}
  kubeApiServer: {to: [{ipBlock: {cidr: 10.1.2.6/32}}]}
";
const CNPG: &str = "
apiServer: {mode: frontendBackend}
postgres: {mode: cnpg}
";

/// The checked ports, each by both protocols.
const PORTS: [u16; 8] = [53, 80, 443, 5432, 6443, 8000, 8080, 9090];

fn pod(namespace: &str, labels: &Value) -> Value {
    json!({"IP": "10.244.0.9", "Internal": {
        "Namespace": namespace,
        "NamespaceLabels": {"kubernetes.io/metadata.name": namespace},
        "PodLabels": labels,
    }})
}

/// All peers, by their names in the table.
struct Peers {
    /// Pods of the release.
    own: BTreeMap<String, Value>,
    /// All other peers.
    others: BTreeMap<String, Value>,
}

impl Peers {
    /// `clients` are pods of this namespace.
    fn new(objects: &Objects, clients: &str) -> Self {
        let outside = |address: &str| json!({"IP": address});
        let mut others = BTreeMap::from([
            ("clients".into(), pod(clients, &json!({"app": "nginx"}))),
            (
                "Prometheus".into(),
                pod("monitoring", &json!({"app": "prometheus"})),
            ),
            ("DNS".into(), pod("kube-system", &json!({"k8s-app": "kube-dns"}))),
            ("databases".into(), outside("10.1.2.5")),
            ("Kubernetes".into(), outside("10.1.2.6")),
            // A public address. Addresses reserved for documentation do not work, because policies may exclude them.
            ("arXiv".into(), outside("151.101.3.42")),
            (
                "a pod elsewhere".into(),
                pod("elsewhere", &json!({"app": "other"})),
            ),
            ("a private address".into(), outside("10.99.0.1")),
        ]);
        if clients != chart::NAMESPACE {
            let neighbour = pod(chart::NAMESPACE, &json!({"app": "other"}));
            others.insert("another pod of the namespace".into(), neighbour);
        }
        // CloudNativePG's labels of its pods.
        for cluster in objects.of("Cluster") {
            let name = cluster["metadata"]["name"].as_str().unwrap();
            let short = name.split_once("arxiv-operator-").unwrap().1;
            let labels = json!({"cnpg.io/cluster": name});
            others.insert(short.to_owned(), pod(chart::NAMESPACE, &labels));
        }
        let mut own = BTreeMap::new();
        for container in pods(objects) {
            let labels = &container.metadata["labels"];
            let name = match labels["app.kubernetes.io/component"].as_str().unwrap() {
                "api-server" => container.name.split_once("arxiv-operator-").unwrap().1,
                other => other,
            };
            own.insert(name.to_owned(), pod(chart::NAMESPACE, labels));
        }
        Self { own, others }
    }

    fn all(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.own.iter().chain(&self.others)
    }

    /// The table's rows, with all peers for "anywhere". Every name must be that of a peer.
    fn named(&self, rows: BTreeSet<Flow>) -> BTreeSet<Flow> {
        let mut flows = BTreeSet::new();
        for (from, to, port) in rows {
            let to = if to == "anywhere" {
                self.others.keys().cloned().collect()
            } else {
                vec![to]
            };
            flows.extend(to.into_iter().map(|to| (from.clone(), to, port)));
        }
        let known = |name| self.own.contains_key(name) || self.others.contains_key(name);
        for (from, to, _) in &flows {
            assert!(known(from) && known(to), "{from} → {to}");
        }
        flows
    }
}

/// A connection: from, to, port, protocol.
type Question = (String, String, u16, &'static str);

/// All connections with one of the release's pods at an end, in the analyser's format.
fn questions(peers: &Peers) -> Vec<(Question, Value)> {
    let mut asked = Vec::new();
    for (from, source) in peers.all() {
        for (to, destination) in peers.all() {
            // Connections without a pod of the release are not checked.
            if from == to || !(peers.own.contains_key(from) || peers.own.contains_key(to)) {
                continue;
            }
            for port in PORTS {
                let name = match (to.as_str(), port) {
                    (_, _) if !peers.own.contains_key(to) => "",
                    ("operator", 8080) => "http",
                    ("operator", _) => "",
                    (_, 8000) => "http",
                    (_, 9090) => "metrics",
                    _ => "",
                };
                for protocol in ["TCP", "UDP"] {
                    let traffic = json!({
                        "Source": source, "Destination": destination,
                        "ResolvedPort": port, "ResolvedPortName": name, "Protocol": protocol,
                    });
                    asked.push(((from.clone(), to.clone(), port, protocol), traffic));
                }
            }
        }
    }
    asked
}

/// The analyser's verdicts, in order.
fn verdicts(objects: &Objects, traffic: &[&Value]) -> Vec<bool> {
    let cyclonus = CYCLONUS.ready().unwrap().join("cyclonus");
    let temp_dir = TempDir::new("cyclonus").unwrap();
    let policies = temp_dir.path().join("policies");
    fs::create_dir(&policies).unwrap();
    for (number, policy) in objects.of("NetworkPolicy").into_iter().enumerate() {
        fs::write(policies.join(format!("{number}.yaml")), policy.to_string()).unwrap();
    }
    let file = temp_dir.path().join("traffic.json");
    fs::write(&file, serde_json::to_string(traffic).unwrap()).unwrap();
    let output = Command::new(cyclonus)
        .args(["analyze", "--mode", "query-traffic", "--policy-path"])
        .arg(&policies)
        .arg("--traffic-path")
        .arg(&file)
        .output()
        .unwrap();
    let table = String::from_utf8_lossy(&output.stdout).to_lowercase();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    table
        .lines()
        .filter(|line| line.contains("is allowed?") && line.contains('|'))
        .map(|line| line.contains("true"))
        .collect()
}

/// Compares the analyser's verdicts with the table below a heading. Returns how many connections are allowed and denied.
fn compare(values: &str, clients: &str, heading: &str) -> (usize, usize) {
    let objects = render(values).unwrap();
    let peers = Peers::new(&objects, clients);
    let allowed = peers.named(flows_below(heading).unwrap());
    let (asked, traffic): (Vec<Question>, Vec<Value>) = questions(&peers).into_iter().unzip();
    let verdicts = verdicts(&objects, &traffic.iter().collect::<Vec<_>>());
    assert_eq!(verdicts.len(), asked.len());
    let (mut yes, mut no) = (0, 0);
    for ((from, to, port, protocol), verdict) in asked.into_iter().zip(verdicts) {
        // DNS uses both protocols, everything else TCP.
        let right_protocol = protocol == "TCP" || port == 53;
        let expected = right_protocol && allowed.contains(&(from.clone(), to.clone(), port));
        assert_eq!(verdict, expected, "{heading}: {from} → {to}: {port} {protocol}");
        *(if verdict { &mut yes } else { &mut no }) += 1;
    }
    (yes, no)
}

#[test]
fn analyser_allows_exactly_documented_flows() {
    let (yes, no) = compare(NARROWED, "ingress", "Restricted");
    assert!(yes > 50 && no > 2000, "{yes} allowed, {no} denied");
}

#[test]
fn analyser_agrees_with_documented_defaults() {
    let (yes, no) = compare("", chart::NAMESPACE, "Defaults");
    assert!(yes > 40 && no > 500, "{yes} allowed, {no} denied");
}

#[test]
fn analyser_agrees_for_cnpg() {
    let (yes, no) = compare(CNPG, chart::NAMESPACE, "With CloudNativePG");
    assert!(yes > 40 && no > 500, "{yes} allowed, {no} denied");
}
