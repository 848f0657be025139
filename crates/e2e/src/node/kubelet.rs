//! The kubelet.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::json;
use testbed::ControlPlane;
use testbed::process::Spec;

use super::programs::Programs;
use super::{ADDRESS, NAME, Runtime};
use crate::addons;

pub(super) fn kubelet(
    programs: &Programs,
    folder: &Path,
    plane: &ControlPlane,
    runtime: &Runtime,
) -> Result<Spec> {
    let root = folder.join("kubelet");
    fs::create_dir_all(&root)?;
    let config = root.join("config.json");
    let settings = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": ADDRESS,
        // Only this run can reach it.
        "authentication": {"anonymous": {"enabled": true}, "webhook": {"enabled": false}},
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": runtime.endpoint(),
        "clusterDNS": [addons::DNS],
        "clusterDomain": "cluster.local",
        // The machine's DNS server cannot be reached from inside.
        "resolvConf": "",
        // Cgroups of both versions work, and no systemd shares them.
        "failCgroupV1": false,
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": false,
        "enforceNodeAllocatable": [],
        "failSwapOn": false,
        // They belong to the machine: checked, never changed (the sandbox shows the expected values).
        "protectKernelDefaults": true,
        "localStorageCapacityIsolation": false,
        // The disk is the developer's: how full it is must not matter here.
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "0%", "imagefs.available": "0%"},
        "imageGCHighThresholdPercent": 100,
        "podLogsDir": root.join("pods-logs"),
    });
    fs::write(&config, settings.to_string())?;
    Ok(
        Spec::new(programs.kubernetes.join("kubelet"), folder.join("kubelet.log"))
            .arg(format!("--config={}", config.display()))
            .arg(format!("--kubeconfig={}", plane.admin_kubeconfig().display()))
            .arg(format!("--root-dir={}", root.display()))
            .arg(format!("--cert-dir={}", root.join("certificates").display()))
            .arg(format!("--hostname-override={NAME}"))
            .arg(format!("--node-ip={ADDRESS}")),
    )
}
