//! Network policies: every connection that the table in docs/network.md allows is tried from inside a pod.
//!
//! The node's network plug-in (a bridge) enforces no policy, so what they deny cannot be tried here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use testbed::wait;

use crate::environment::probe_pods::{CALLERS, MONITORING, ProbePod, namespaces};
use crate::environment::{Environment, NAMESPACE, selector};

/// Names in the table that are not part of the release.
const OUTSIDE: [&str; 8] = [
    "clients",
    "Prometheus",
    "another pod of the namespace",
    "a pod elsewhere",
    "Kubernetes",
    "databases",
    "arXiv",
    "DNS",
];
const RUNNING_LIMIT: Duration = Duration::from_mins(1);
/// The network plug-in learns of new pods a moment later.
const REACHED_LIMIT: Duration = Duration::from_mins(1);

/// Sender and receiver, by their names in the table; of a pod of the release, with the port (it may have several).
type Flow = (String, String);

fn receiver(to: &str, port: u16) -> String {
    if OUTSIDE.contains(&to) {
        to.to_owned()
    } else {
        format!("{to} {port}")
    }
}

pub(super) async fn check(env: &Environment) -> Result<String> {
    env.release(&values(env)).await?;
    let flows = chart::allowed_flows()?;
    let targets = targets(env, &flows).await?;
    let allowed: BTreeSet<Flow> = pairs(flows);
    let senders = senders(&allowed);
    let manifests = senders.values().map(ProbePod::manifest);
    let manifests: Vec<String> = namespaces()
        .into_iter()
        .chain(manifests)
        .map(|object| object.to_string())
        .collect();
    env.apply(&manifests.join("\n---\n")).await?;
    let found = try_allowed(env, &senders, &targets, &allowed).await;
    for ProbePod { namespace, name, .. } in senders.values() {
        env.kubectl(&["-n", namespace, "delete", "pod", name, "--wait=false"])
            .await?;
    }
    found
}

fn pairs(flows: BTreeSet<chart::Flow>) -> BTreeSet<Flow> {
    let flow = |(from, to, port): chart::Flow| (from, receiver(&to, port));
    flows.into_iter().map(flow).collect()
}

fn values(env: &Environment) -> String {
    let named = |name: &str| {
        format!("[{{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {name}}}}}}}]")
    };
    format!(
        "apiServer: {{mode: perEndpoint, autoscaling: {{enabled: false}}, replicas: 1}}
networkPolicy:
  from: {}
  metricsFrom: {}
  postgres: {{to: [{{ipBlock: {{cidr: {}/32}}}}]}}
",
        named(CALLERS),
        named(MONITORING),
        env.primary().0
    )
}

/// A pod for each sender in the table.
fn senders(allowed: &BTreeSet<Flow>) -> BTreeMap<String, ProbePod> {
    let named = allowed.iter().map(|(from, _)| from.as_str());
    named
        .map(|name| (name.to_owned(), ProbePod::like(name)))
        .collect()
}

/// Address and port of each receiver in the table.
async fn targets(
    env: &Environment,
    flows: &BTreeSet<chart::Flow>,
) -> Result<BTreeMap<String, (String, u16)>> {
    let (host, database) = env.primary();
    let mut targets = BTreeMap::new();
    let receivers: BTreeSet<(&String, u16)> = flows.iter().map(|(_, to, port)| (to, *port)).collect();
    for (name, port) in receivers {
        let target = match name.as_str() {
            "databases" => (host.to_string(), database),
            "Kubernetes" => (service(env, "default", "kubernetes").await?, 443),
            "DNS" => (service(env, "kube-system", "kube-dns").await?, 53),
            "arXiv" => (env.address("upstream", "app=arxiv").await?, 8080),
            own => (env.address(NAMESPACE, &selector(own)).await?, port),
        };
        targets.insert(receiver(name, port), target);
    }
    Ok(targets)
}

async fn service(env: &Environment, namespace: &str, name: &str) -> Result<String> {
    let path = "jsonpath={.spec.clusterIP}";
    env.kubectl(&["-n", namespace, "get", "service", name, "-o", path])
        .await
}

/// Tries every allowed pair in which the release takes part.
async fn try_allowed(
    env: &Environment,
    senders: &BTreeMap<String, ProbePod>,
    targets: &BTreeMap<String, (String, u16)>,
    allowed: &BTreeSet<Flow>,
) -> Result<String> {
    for ProbePod { namespace, name, .. } in senders.values() {
        let pod = format!("pod/{name}");
        let running = "--for=jsonpath={.status.phase}=Running";
        let limit = format!("--timeout={}s", RUNNING_LIMIT.as_secs());
        env.kubectl(&["-n", namespace, "wait", running, &pod, &limit])
            .await?;
    }
    let outside = |name: &str| OUTSIDE.contains(&name);
    let expected: BTreeSet<&Flow> = allowed
        .iter()
        .filter(|(from, to)| from != to && !(outside(from) && outside(to)))
        .collect();
    ensure!(!expected.is_empty(), "docs/network.md allows nothing");
    let names: Vec<&String> = targets.keys().collect();
    let script = script(targets.values());
    let mut missing = String::new();
    let reached = wait::until("all allowed connections", REACHED_LIMIT, async || {
        let probes = senders.iter().map(async |(from, pod)| {
            let ProbePod { namespace, name, .. } = pod;
            let arguments = ["-n", namespace, "exec", name, "--", "/bin/sh", "-c", &script];
            let output = env.kubectl(&arguments).await?;
            let reached = output
                .lines()
                .filter_map(|line| names.get(line.parse::<usize>().ok()?));
            Ok::<_, anyhow::Error>(
                reached
                    .map(|to| (from.clone(), (*to).clone()))
                    .collect::<Vec<Flow>>(),
            )
        });
        let reached: BTreeSet<Flow> = try_join_all(probes).await?.into_iter().flatten().collect();
        let lost: Vec<String> = expected
            .iter()
            .filter(|flow| !reached.contains(**flow))
            .map(|(from, to)| format!("{from} → {to}"))
            .collect();
        missing = lost.join(", ");
        Ok(lost.is_empty().then_some(()))
    })
    .await;
    reached.with_context(|| format!("not reached: {missing}"))?;
    Ok(format!(
        "{} pairs of docs/network.md connected; this node's bridge denies nothing, so denied pairs were not tried",
        expected.len()
    ))
}

/// Prints the index of each target that accepts a connection.
fn script<'a>(targets: impl Iterator<Item = &'a (String, u16)>) -> String {
    let mut text = String::from("ask() { timeout 2 bash -c \"</dev/tcp/$2/$3\" 2>/dev/null && echo $1; }\n");
    for (number, (address, port)) in targets.enumerate() {
        // Writing to a string never fails.
        let _ = writeln!(text, "ask {number} {address} {port} &");
    }
    text + "wait\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_in_table_is_known() {
        let allowed = pairs(chart::allowed_flows().unwrap());
        let both = ["results 8000", "results 9090"].map(str::to_owned);
        assert!(both.iter().all(|port| allowed.iter().any(|(_, to)| to == port)));
        let senders = senders(&allowed);
        assert_eq!(senders.len(), 15);
        let chart = chart::render("apiServer: {mode: perEndpoint}").unwrap();
        let known: BTreeSet<String> = chart::pods(&chart)
            .iter()
            .map(|pod| {
                let labels = &pod.metadata["labels"];
                let group = labels["arxiv-operator.dev/group"].as_str();
                group
                    .or(labels["app.kubernetes.io/component"].as_str())
                    .unwrap_or_default()
                    .to_owned()
            })
            .collect();
        for (from, to) in &allowed {
            for name in [from, to] {
                let pod = name.rsplit_once(' ').map_or(name.as_str(), |(pod, _)| pod);
                assert!(OUTSIDE.contains(&name.as_str()) || known.contains(pod), "{name}");
            }
        }
    }

    #[test]
    fn script_prints_reached_targets() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let open = ("127.0.0.1".to_owned(), listener.local_addr().unwrap().port());
        let closed = ("127.0.0.1".to_owned(), 1);
        let script = script([closed, open].iter());
        let output = std::process::Command::new("sh")
            .args(["-c", &script])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n");
    }
}
