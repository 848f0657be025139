//! Who gets through to whom, from inside of pods, against the table in docs/network.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use testbed::wait;

use crate::site::strangers::{CALLERS, MONITORING, Stranger, namespaces};
use crate::site::{NAMESPACE, Site, selector};

/// What the table's names stand for that are not the release's.
const OTHERS: [&str; 8] = [
    "clients",
    "Prometheus",
    "a pod beside",
    "a pod elsewhere",
    "Kubernetes",
    "databases",
    "arXiv",
    "DNS",
];
const RUNNING_LIMIT: Duration = Duration::from_mins(1);
/// A network plug-in learns of new pods a moment later.
const ENFORCED_LIMIT: Duration = Duration::from_mins(1);

/// A pair of names.
type Flow = (String, String);

pub(super) async fn tried(site: &Site) -> Result<String> {
    site.release(&values(site)).await?;
    let flows = chart::allowed_flows()?;
    let ports = flows.iter().map(|(_, to, port)| (to.clone(), *port)).collect();
    let allowed: BTreeSet<Flow> = flows.into_iter().map(|(from, to, _)| (from, to)).collect();
    let targets = targets(site, &ports).await?;
    let senders = senders(&allowed);
    let manifests = senders.values().map(Stranger::manifest);
    let manifests: Vec<String> = namespaces()
        .into_iter()
        .chain(manifests)
        .map(|object| object.to_string())
        .collect();
    site.apply(&manifests.join("\n---\n")).await?;
    let found = compare(site, &senders, &targets, &allowed).await;
    for Stranger { namespace, name, .. } in senders.values() {
        site.kubectl(&["-n", namespace, "delete", "pod", name, "--wait=false"])
            .await?;
    }
    found
}

fn values(site: &Site) -> String {
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
        site.primary().0
    )
}

/// Everybody in the table who sends, and those who may send nothing.
fn senders(allowed: &BTreeSet<Flow>) -> BTreeMap<String, Stranger> {
    let named = allowed.iter().map(|(from, _)| from.as_str());
    named
        .chain(["a pod beside", "a pod elsewhere"])
        .map(|name| (name.to_owned(), Stranger::like(name)))
        .collect()
}

/// Address and port of everybody in the table who is sent something; `ports` are the table's.
async fn targets(site: &Site, ports: &BTreeMap<String, u16>) -> Result<BTreeMap<String, (String, u16)>> {
    let (host, database) = site.primary();
    let mut targets = BTreeMap::new();
    for (name, port) in ports {
        let target = match name.as_str() {
            "databases" => (host.to_string(), database),
            "Kubernetes" => (service(site, "default", "kubernetes").await?, 443),
            "DNS" => (service(site, "kube-system", "kube-dns").await?, 53),
            "arXiv" => (site.address("upstream", "app=arxiv").await?, 8080),
            own => (site.address(NAMESPACE, &selector(own)).await?, *port),
        };
        targets.insert(name.clone(), target);
    }
    Ok(targets)
}

async fn service(site: &Site, namespace: &str, name: &str) -> Result<String> {
    let path = "jsonpath={.spec.clusterIP}";
    site.kubectl(&["-n", namespace, "get", "service", name, "-o", path])
        .await
}

async fn compare(
    site: &Site,
    senders: &BTreeMap<String, Stranger>,
    targets: &BTreeMap<String, (String, u16)>,
    allowed: &BTreeSet<Flow>,
) -> Result<String> {
    for Stranger { namespace, name, .. } in senders.values() {
        let pod = format!("pod/{name}");
        let running = "--for=jsonpath={.status.phase}=Running";
        let limit = format!("--timeout={}s", RUNNING_LIMIT.as_secs());
        site.kubectl(&["-n", namespace, "wait", running, &pod, &limit])
            .await?;
    }
    let enforced = site.cluster.enforces_policies();
    let names: Vec<&String> = targets.keys().collect();
    let script = script(targets.values());
    let mut wrong = Vec::new();
    let compared = wait::until("policies as in the table", ENFORCED_LIMIT, async || {
        let asked = senders.iter().map(async |(from, stranger)| {
            let Stranger { namespace, name, .. } = stranger;
            let arguments = ["-n", namespace, "exec", name, "--", "/bin/sh", "-c", &script];
            let told = site.kubectl(&arguments).await?;
            let reached: BTreeSet<usize> = told.lines().filter_map(|line| line.parse().ok()).collect();
            Ok::<_, anyhow::Error>((from, reached))
        });
        let (mut through, mut held) = (0, 0);
        wrong.clear();
        for (from, reached) in try_join_all(asked).await? {
            for (number, to) in names.iter().enumerate() {
                // What neither end of is the release's is nobody's business here.
                let others = |name: &str| OTHERS.contains(&name);
                if from == *to || (others(from) && others(to)) {
                    continue;
                }
                let expected = allowed.contains(&(from.clone(), (*to).clone()));
                match (expected, reached.contains(&number)) {
                    (true, true) => through += 1,
                    (false, false) => held += 1,
                    (false, true) if !enforced => {}
                    (_, got) => wrong.push(format!("{from} → {to}: {got}, should be {expected}")),
                }
            }
        }
        Ok(wrong.is_empty().then_some((through, held)))
    })
    .await;
    let (through, held) = compared.with_context(|| wrong.join("\n"))?;
    ensure!(through > 0, "nothing was asked");
    Ok(if enforced {
        format!("{through} pairs of docs/network.md got through, {held} that are not in it did not")
    } else {
        format!(
            "{through} pairs of docs/network.md got through; this node's bridge denies nothing, so nothing else was tried"
        )
    })
}

/// Tells the number of each target that can be connected to.
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
    fn everybody_in_the_table_is_known() {
        let allowed: BTreeSet<Flow> = chart::allowed_flows()
            .unwrap()
            .into_iter()
            .map(|(from, to, _)| (from, to))
            .collect();
        let senders = senders(&allowed);
        assert_eq!(senders.len(), 17);
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
                assert!(OTHERS.contains(&name.as_str()) || known.contains(name), "{name}");
            }
        }
    }

    #[test]
    fn the_script_tells_what_it_reached() {
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
