//! The cluster's add-ons: DNS for Services (`CoreDNS`) and metrics of pods (metrics-server). Both run as processes next to the node,
//! and their Services forward to them.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use testbed::process::Spec;
use testbed::tools::GoTools;
use testbed::wait;

const PROGRAMS: GoTools = GoTools {
    name: "addons",
    build_time: "about two minutes",
    go_mod: include_str!("../go/addons/go.mod"),
    go_sum: include_str!("../go/addons/go.sum"),
    main_go: include_str!("../go/addons/main.go"),
    programs: &[("coredns", "coredns"), ("metrics-server", "metrics-server")],
    ..GoTools::DEFAULT
};
/// The address of the DNS Service, which every pod uses.
pub(crate) const DNS: &str = "10.0.0.10";
const DNS_PORT: u16 = 10_053;
const METRICS_PORT: u16 = 10_443;
const SERVED_LIMIT: Duration = Duration::from_mins(2);

/// The folder with the programs, which are built on first use. Blocks.
pub(crate) fn programs() -> Result<PathBuf> {
    PROGRAMS.ready()
}

pub(crate) fn dns(programs: &Path, folder: &Path, kubeconfig: &Path, address: Ipv4Addr) -> Result<Spec> {
    let file = folder.join("Corefile");
    let text = format!(
        ".:{DNS_PORT} {{\n  bind {address}\n  errors\n  kubernetes cluster.local in-addr.arpa {{\n    kubeconfig {}\n    \
         fallthrough in-addr.arpa\n  }}\n  cache 5\n}}\n",
        kubeconfig.display()
    );
    fs::write(&file, text)?;
    Ok(Spec::new(programs.join("coredns"), folder.join("coredns.log"))
        .arg("-conf")
        .arg(file.as_os_str()))
}

pub(crate) fn metrics(programs: &Path, folder: &Path, kubeconfig: &Path, address: Ipv4Addr) -> Spec {
    let certificates = folder.join("metrics-server");
    Spec::new(programs.join("metrics-server"), folder.join("metrics-server.log"))
        .args(
            [
                "kubeconfig",
                "authentication-kubeconfig",
                "authorization-kubeconfig",
            ]
            .map(|flag| format!("--{flag}={}", kubeconfig.display())),
        )
        .arg(format!("--bind-address={address}"))
        .arg(format!("--secure-port={METRICS_PORT}"))
        .arg(format!("--cert-dir={}", certificates.display()))
        .args([
            // The shortest that it accepts.
            "--metric-resolution=11s",
            "--kubelet-request-timeout=5s",
            "--kubelet-insecure-tls",
            "--kubelet-preferred-address-types=InternalIP",
        ])
}

/// Creates the Service of DNS.
pub(crate) async fn serve_dns(client: &Client, address: Ipv4Addr) -> Result<()> {
    let ports = [("dns", "UDP", 53, DNS_PORT), ("dns-tcp", "TCP", 53, DNS_PORT)];
    service(client, "kube-dns", Some(DNS), address, &ports).await
}

/// Creates the Service of metrics, and waits until there are metrics of the node.
pub(crate) async fn serve_metrics(client: &Client, node: &str, address: Ipv4Addr) -> Result<()> {
    let ports = [("https", "TCP", 443, METRICS_PORT)];
    service(client, "metrics-server", None, address, &ports).await?;
    let added = json!({
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": "v1beta1.metrics.k8s.io"},
        "spec": {
            "group": "metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": true,
            "service": {"name": "metrics-server", "namespace": "kube-system"},
        },
    });
    apply(client, added).await?;
    wait::until("metrics of the node", SERVED_LIMIT, async || {
        let request = http_get(&format!("/apis/metrics.k8s.io/v1beta1/nodes/{node}"))?;
        Ok(client.request::<Value>(request).await.ok().map(drop))
    })
    .await
}

/// A Service in kube-system that forwards to ports of an address.
async fn service(
    client: &Client,
    name: &str,
    own: Option<&str>,
    address: Ipv4Addr,
    ports: &[(&str, &str, u16, u16)],
) -> Result<()> {
    let shown: Vec<Value> = ports
        .iter()
        .map(|(name, protocol, port, target)| {
            json!({"name": name, "protocol": protocol, "port": port, "targetPort": target})
        })
        .collect();
    let mut spec = json!({"ports": shown});
    if let Some(own) = own {
        spec["clusterIP"] = own.into();
    }
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "kube-system"},
        "spec": spec,
    });
    let behind: Vec<Value> = ports
        .iter()
        .map(|(name, protocol, _, target)| json!({"name": name, "protocol": protocol, "port": target}))
        .collect();
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "namespace": "kube-system",
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
        "ports": behind,
    });
    apply(client, service).await?;
    apply(client, slice).await
}

fn http_get(path: &str) -> Result<http::Request<Vec<u8>>> {
    Ok(http::Request::get(path).body(Vec::new())?)
}

async fn apply(client: &Client, object: Value) -> Result<()> {
    let object: DynamicObject = serde_json::from_value(object)?;
    let types = object.types.clone().unwrap_or_default();
    let kind = GroupVersionKind::try_from(&types)?;
    let resource = ApiResource::from_gvk(&kind);
    let api: Api<DynamicObject> = match &object.metadata.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let name = object.metadata.name.clone().unwrap_or_default();
    api.patch(&name, &PatchParams::apply("e2e").force(), &Patch::Apply(&object))
        .await?;
    Ok(())
}
