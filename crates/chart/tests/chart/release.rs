//! The life cycle of a release, by both versions of helm, on a real API server.

use std::path::Path;
use std::process::Command;

use chart::NAMESPACE;
use testbed::ControlPlane;

use crate::cluster::Cluster;

/// On a separate control plane. It has no controllers, so helm does not wait.
#[tokio::test]
async fn release_can_be_installed_upgraded_rolled_back_and_uninstalled() {
    let plane = ControlPlane::start().await.unwrap();
    let cluster = Cluster {
        kubectl: plane.kubectl().into(),
        kubeconfig: plane.admin_kubeconfig(),
    };
    for helm in [chart::helm().unwrap(), chart::helm3().unwrap()] {
        lives(&plane, &cluster, helm);
    }
}

fn lives(plane: &ControlPlane, cluster: &Cluster, program: &Path) {
    let helm = |arguments: &[&str]| {
        let output = Command::new(program)
            .arg("--kubeconfig")
            .arg(plane.admin_kubeconfig())
            .args(["--namespace", NAMESPACE])
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{} {arguments:?}: {}",
            program.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    };
    let deployments = || {
        let names = cluster.succeeds(&["get", "deployments", "-n", NAMESPACE, "-o", "name"], "");
        names.lines().count()
    };
    let jobs = || cluster.succeeds(&["get", "jobs", "-n", NAMESPACE, "-o", "name"], "");
    let chart = chart::folder();
    let chart = chart.to_string_lossy();
    // The testbed has installed the CRD already, so the release adopts it.
    helm(&[
        "install",
        "papers",
        &chart,
        "--create-namespace",
        "--take-ownership",
    ]);
    let (first_job, one_server) = (jobs(), deployments());
    helm(&[
        "upgrade",
        "papers",
        &chart,
        "--set",
        "apiServer.mode=perEndpoint,operator.image.tag=9.9.9",
    ]);
    assert_eq!((one_server, deployments()), (2, 11));
    assert!(
        jobs() != first_job && jobs().lines().count() == 1,
        "another version, another Job"
    );
    helm(&["rollback", "papers", "1"]);
    assert_eq!((deployments(), jobs()), (2, first_job));
    let query = "{apiVersion: arxiv-operator.dev/v1alpha1, kind: ArxivQuery, metadata: {name: kept, namespace: library}, spec: {search: {author: knuth}}}";
    cluster.succeeds(&["create", "-f", "-"], query);
    helm(&["uninstall", "papers"]);
    assert_eq!(deployments(), 0);
    cluster.succeeds(&["get", "arxivqueries", "kept", "-n", NAMESPACE], "");
    cluster.succeeds(&["delete", "arxivqueries", "kept", "-n", NAMESPACE], "");
}
