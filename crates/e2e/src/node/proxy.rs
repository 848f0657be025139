//! kube-proxy, which implements Services.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::json;
use testbed::ControlPlane;
use testbed::process::Spec;

use super::programs::Programs;
use super::{NAME, PODS};

pub(super) fn kube_proxy(programs: &Programs, folder: &Path, plane: &ControlPlane) -> Result<Spec> {
    let config = folder.join("kube-proxy.json");
    let settings = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": plane.admin_kubeconfig()},
        "mode": "nftables",
        "clusterCIDR": PODS,
        "hostnameOverride": NAME,
        "bindAddress": "0.0.0.0",
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        // This namespace cannot set the machine's limit.
        "conntrack": {"maxPerCore": 0},
        // Otherwise a response between two pods would cross the bridge directly, without the reverse address translation.
        "nftables": {"masqueradeAll": true, "syncPeriod": "30s", "minSyncPeriod": "1s"},
    });
    fs::write(&config, settings.to_string())?;
    Ok(Spec::new(
        programs.kubernetes.join("kube-proxy"),
        folder.join("kube-proxy.log"),
    )
    .arg(format!("--config={}", config.display())))
}
