//! kubectl with a real control plane.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use chart::NAMESPACE;
use testbed::ControlPlane;
use tokio::sync::OnceCell;

/// kubectl with a control plane that has the release's namespace, which accepts only restricted pods.
pub(crate) struct Cluster {
    pub(crate) kubectl: PathBuf,
    pub(crate) kubeconfig: PathBuf,
}

/// Strict: an unknown field is an error.
pub(crate) const TAKE: [&str; 7] = [
    "apply",
    "--server-side",
    "--force-conflicts",
    "--dry-run=server",
    "--validate=strict",
    "-f",
    "-",
];

/// One for all tests of this process.
pub(crate) async fn cluster() -> &'static Cluster {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    CLUSTER
        .get_or_init(|| async {
            let plane = ControlPlane::shared().await.unwrap();
            for namespace in [NAMESPACE, "papers", "papers-staging"] {
                plane.ensure_namespace(namespace).await.unwrap();
            }
            let cluster = Cluster {
                kubectl: plane.kubectl().into(),
                kubeconfig: plane.admin_kubeconfig(),
            };
            let label = "pod-security.kubernetes.io/enforce=restricted";
            cluster.succeeds(&["label", "namespace", NAMESPACE, label], "");
            cluster
        })
        .await
}

impl Cluster {
    pub(crate) fn kubectl(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = Command::new(&self.kubectl)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            // Not the user's cache: another cluster may have had this address.
            .arg("--cache-dir")
            .arg(self.kubeconfig.with_extension("cache"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    pub(crate) fn succeeds(&self, arguments: &[&str], input: &str) -> String {
        let output = self.kubectl(arguments, input);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {arguments:?}: {said}");
        assert!(!said.contains("Warning"), "kubectl {arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn takes(&self, input: &str) {
        self.succeeds(&TAKE, input);
    }

    pub(crate) fn can(&self, account: &str, verb: &str, resource: &str, namespace: &str) -> bool {
        let user = format!("--as=system:serviceaccount:{NAMESPACE}:{account}");
        let (resource, part) = resource.split_once('/').unwrap_or((resource, ""));
        let part = format!("--subresource={part}");
        let arguments = [
            "auth",
            "can-i",
            verb,
            resource,
            &part,
            "--namespace",
            namespace,
            &user,
        ];
        self.kubectl(&arguments, "").status.success()
    }
}
