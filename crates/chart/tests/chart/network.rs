//! Network policies: everything is denied except the needed connections.

use std::collections::BTreeSet;

use chart::{Container, Objects, operator, pods, refusal, render};
use serde_json::{Value, json};

fn selects(policy: &Value, labels: &Value) -> bool {
    let selector = policy["spec"]["podSelector"]["matchLabels"].as_object();
    selector.is_some_and(|selector| selector.iter().all(|(key, value)| labels[key] == *value))
}

/// Rules of all policies that select a pod, in one direction (`ingress`, `egress`).
pub(crate) fn flows<'a>(objects: &'a Objects, pod: &Container<'_>, direction: &str) -> Vec<&'a Value> {
    objects
        .of("NetworkPolicy")
        .into_iter()
        .filter(|policy| selects(policy, &pod.metadata["labels"]))
        .flat_map(|policy| policy["spec"][direction].as_array().into_iter().flatten())
        .collect()
}

fn ports(rules: &[&Value]) -> BTreeSet<String> {
    let of = |rule: &&Value| rule["ports"].as_array().cloned().unwrap_or_default();
    rules
        .iter()
        .flat_map(of)
        .map(|port| port["port"].to_string())
        .collect()
}

#[test]
fn processes_reach_the_collector_of_traces_where_there_is_one() {
    let collector = "networkPolicy: {tracing: {to: [{podSelector: {matchLabels: {app: collector}}}]}}";
    for (endpoint, port) in [
        ("http://collector:4318", Some(4318)),
        ("https://collector.example", Some(443)),
        ("", None),
    ] {
        let objects = render(&format!("tracing: {{endpoint: '{endpoint}'}}\n{collector}")).unwrap();
        for pod in pods(&objects) {
            let is_process = ["operator", "api-server"].contains(&pod.container["name"].as_str().unwrap());
            let rules = flows(&objects, &pod, "egress").into_iter();
            let to_collector: Vec<_> = rules
                .filter(|rule| rule["to"][0]["podSelector"]["matchLabels"]["app"] == "collector")
                .map(|rule| rule["ports"].clone())
                .collect();
            let port = port.filter(|_| is_process);
            let expected: Vec<_> = port
                .map(|port| json!([{"port": port, "protocol": "TCP"}]))
                .into_iter()
                .collect();
            assert_eq!(to_collector, expected, "{} {endpoint}", pod.name);
            let sent = pod.env().get("OTEL_EXPORTER_OTLP_ENDPOINT").cloned();
            assert_eq!(sent.as_deref(), port.map(|_| endpoint), "{}", pod.name);
        }
    }
}

#[test]
fn policies_deny_all_traffic_by_default() {
    let objects = render("apiServer: {mode: perEndpoint}").unwrap();
    for pod in pods(&objects) {
        let denied = objects.of("NetworkPolicy").into_iter().any(|policy| {
            selects(policy, &pod.metadata["labels"])
                && policy["spec"]["policyTypes"] == json!(["Ingress", "Egress"])
                && policy["spec"]["ingress"].is_null()
                && policy["spec"]["egress"].is_null()
        });
        assert!(denied, "{}", pod.name);
        for rule in flows(&objects, &pod, "egress")
            .into_iter()
            .chain(flows(&objects, &pod, "ingress"))
        {
            assert!(
                rule["ports"].as_array().is_some_and(|ports| !ports.is_empty()),
                "{}: {rule}",
                pod.name
            );
        }
    }
    assert!(
        render("networkPolicy: {enabled: false}")
            .unwrap()
            .of("NetworkPolicy")
            .is_empty()
    );
}

#[test]
fn egress_is_limited_to_needed_ports() {
    let objects = render("apiServer: {mode: perEndpoint}").unwrap();
    for pod in pods(&objects) {
        let mut needed = BTreeSet::from(["53".to_owned()]);
        let stores = pod.stores();
        if !stores.is_empty() {
            needed.insert("5432".into());
        }
        if pod.pod["automountServiceAccountToken"] == true {
            needed.extend(["443".into(), "6443".into()]);
        }
        if pod.env().contains_key("ARXIV_API_URL") {
            needed.insert("443".into());
        }
        if pod.kind == "Pod" {
            needed.insert("\"http\"".into());
        }
        assert_eq!(ports(&flows(&objects, &pod, "egress")), needed, "{}", pod.name);
    }
}

#[test]
fn ingress_is_limited_to_named_peers_and_servers() {
    let values = "
apiServer: {mode: perEndpoint, components: {write-queries: {networkPolicyFrom: [{podSelector: {matchLabels: {app: importer}}}]}}}
networkPolicy:
  from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress}}}]
  metricsFrom: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]
";
    let objects = render(values).unwrap();
    let namespace =
        |name: &str| json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}});
    for pod in pods(&objects) {
        let rules = flows(&objects, &pod, "ingress");
        let peers: Vec<&Value> = rules
            .iter()
            .flat_map(|rule| rule["from"].as_array().unwrap())
            .collect();
        match pod.container["name"].as_str().unwrap() {
            "operator" => assert_eq!(peers, [&namespace("monitoring")]),
            "api-server" => {
                let callers = if pod.name.ends_with("write-queries") {
                    json!({"podSelector": {"matchLabels": {"app": "importer"}}})
                } else {
                    namespace("ingress")
                };
                assert_eq!(peers[0], &callers, "{}", pod.name);
                assert_eq!(
                    peers[1]["podSelector"]["matchLabels"]["app.kubernetes.io/component"],
                    "test"
                );
                assert_eq!(peers[2], &namespace("monitoring"));
                assert_eq!(peers.len(), 3);
            }
            _ => assert!(peers.is_empty(), "{}", pod.name),
        }
    }
    let objects = render("").unwrap();
    for pod in pods(&objects) {
        for rule in flows(&objects, &pod, "ingress") {
            assert_eq!(
                rule["from"][0],
                json!({"podSelector": {}}),
                "the release's own namespace"
            );
        }
    }
}

#[test]
fn dns_port_and_peers_can_be_set() {
    let openshift =
        json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "openshift-dns"}}});
    let objects = render(&format!(
        "networkPolicy: {{dns: {{to: [{openshift}], ports: [5353]}}}}"
    ))
    .unwrap();
    for pod in pods(&objects) {
        let rules = flows(&objects, &pod, "egress");
        let of_dns: Vec<&&Value> = rules
            .iter()
            .filter(|rule| rule["to"] == json!([openshift]))
            .collect();
        let ports = json!([{"port": 5353, "protocol": "UDP"}, {"port": 5353, "protocol": "TCP"}]);
        assert_eq!(of_dns.len(), 1, "{}", pod.name);
        assert_eq!(of_dns[0]["ports"], ports, "{}", pod.name);
    }
}

#[test]
fn operator_reaches_receivers_of_webhooks_only_where_feeds_may_have_some() {
    let to = |values: &str| {
        let objects = render(values).unwrap();
        let operator = operator(&objects).unwrap();
        let rules = flows(&objects, &operator, "egress").into_iter();
        rules.cloned().collect::<Vec<_>>()
    };
    let network = json!({"ipBlock": {"cidr": "10.96.0.0/12"}});
    let without = to("operator: {webhooks: {networks: [10.96.0.0/12]}}");
    assert_eq!(without, to(""), "off");
    let on = "operator: {webhooks: {namespaces: [team-a], networks: [10.96.0.0/12]}}";
    let added: Vec<_> = to(on)
        .into_iter()
        .filter(|rule| !without.contains(rule))
        .collect();
    assert_eq!(added.len(), 1, "{added:?}");
    let peers = added[0]["to"].as_array().unwrap();
    assert_eq!((peers.len(), &peers[2]), (3, &network));
    assert_eq!(added[0]["ports"], json!([{"port": 443, "protocol": "TCP"}]));
    let limited =
        format!("{on}\nnetworkPolicy: {{webhooks: {{to: [{{podSelector: {{}}}}], ports: [8443]}}}}");
    let expected = json!({"to": [{"podSelector": {}}], "ports": [{"port": 8443, "protocol": "TCP"}]});
    assert!(to(&limited).contains(&expected));
}

/// The peers of the rule by which a pod reaches arXiv.
fn to_arxiv(values: &str) -> (Value, Value) {
    let objects = render(values).expect(values);
    let operator = operator(&objects).expect("an operator");
    let rules = flows(&objects, &operator, "egress");
    let rule = rules.last().expect("rules");
    (rule["to"].clone(), rule["ports"].clone())
}

#[test]
fn arxiv_peers_are_public_or_the_set_ones() {
    let (peers, ports) = to_arxiv("");
    let blocks: Vec<&Value> = peers
        .as_array()
        .unwrap()
        .iter()
        .map(|peer| &peer["ipBlock"])
        .collect();
    assert_eq!(blocks.len(), 2, "both families");
    assert!(
        blocks[0]["except"]
            .as_array()
            .unwrap()
            .contains(&json!("10.0.0.0/8"))
    );
    assert!(
        blocks[0]["except"]
            .as_array()
            .unwrap()
            .contains(&json!("169.254.0.0/16")),
        "metadata services"
    );
    assert_eq!(ports[0]["port"], 443);
    for (url, port) in [
        ("http://stand-in/api", 80),
        ("http://[::1]:9000/api", 9000),
        ("https://x:8443/", 8443),
    ] {
        assert_eq!(
            to_arxiv(&format!("arxiv: {{apiUrl: '{url}'}}")).1[0]["port"],
            port,
            "{url}"
        );
    }
    let proxy = "arxiv: {proxy: {url: 'http://proxy.example:3128'}}";
    let message = refusal(proxy).unwrap();
    assert!(message.contains("networkPolicy.arxiv.to"), "{message}");
    let (peers, ports) = to_arxiv(&format!(
        "{proxy}\nnetworkPolicy: {{arxiv: {{to: [{{ipBlock: {{cidr: 192.0.2.1/32}}}}], ports: [3128]}}}}"
    ));
    assert_eq!(peers, json!([{"ipBlock": {"cidr": "192.0.2.1/32"}}]));
    assert_eq!(ports, json!([{"port": 3128, "protocol": "TCP"}]));
}

#[test]
fn cnpg_egress_is_limited_to_used_servers() {
    let objects =
        render("postgres: {mode: cnpg, cnpg: {readPooler: {enabled: true}}}\napiServer: {mode: perEndpoint}")
            .unwrap();
    for (short, servers) in [
        ("results", &["data", "data-read-pooler"][..]),
        ("write-queries", &["data", "data-read-pooler"]),
        ("get-sequence", &["sequence"]),
        ("arxiv-api", &["sequence"]),
        ("operator", &["data", "sequence", "data-read-pooler"]),
    ] {
        let all = pods(&objects);
        let pod = all
            .iter()
            .find(|pod| pod.name == format!("papers-arxiv-operator-{short}"))
            .unwrap();
        let rules = flows(&objects, pod, "egress");
        let rule = rules
            .iter()
            .find(|rule| rule["ports"][0]["port"] == 5432)
            .unwrap();
        let reached: Vec<&str> = rule["to"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|peer| peer["podSelector"]["matchLabels"].as_object().unwrap().values())
            .filter_map(|name| name.as_str()?.strip_prefix("papers-arxiv-operator-"))
            .collect();
        assert_eq!(reached, servers, "{short}");
    }
}
