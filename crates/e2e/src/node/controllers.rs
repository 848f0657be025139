//! The controllers and the scheduler of Kubernetes.

use std::path::Path;

use testbed::ControlPlane;
use testbed::process::Spec;

use super::programs::Programs;

pub(super) fn manager(programs: &Programs, folder: &Path, plane: &ControlPlane) -> Spec {
    let flag = |name: &str, file: &Path| format!("--{name}={}", file.display());
    Spec::new(
        programs.kubernetes.join("kube-controller-manager"),
        folder.join("kube-controller-manager.log"),
    )
    .arg(flag("kubeconfig", &plane.admin_kubeconfig()))
    .arg(flag("service-account-private-key-file", plane.account_key()))
    .arg(flag("root-ca-file", plane.certificate_authority()))
    .args([
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        // A run should take minutes: the autoscaler checks every 5 s instead of 15, and uses a pod's first metrics sooner.
        "--horizontal-pod-autoscaler-sync-period=5s",
        "--horizontal-pod-autoscaler-cpu-initialization-period=20s",
        "--horizontal-pod-autoscaler-initial-readiness-delay=10s",
    ])
}

pub(super) fn scheduler(programs: &Programs, folder: &Path, plane: &ControlPlane) -> Spec {
    Spec::new(
        programs.kubernetes.join("kube-scheduler"),
        folder.join("kube-scheduler.log"),
    )
    .arg(format!("--kubeconfig={}", plane.admin_kubeconfig().display()))
    .args(["--leader-elect=false", "--bind-address=127.0.0.1"])
}
