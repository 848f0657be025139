//! containerd, which stores images and runs containers.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use testbed::process::{Child, Spec};
use testbed::wait;

use super::PODS;
use super::programs::Programs;

const READY_LIMIT: Duration = Duration::from_mins(1);
const IMPORT_LIMIT: Duration = Duration::from_mins(2);

/// The running containerd.
#[derive(Debug)]
pub(super) struct Runtime {
    child: Child,
    socket: PathBuf,
    ctr: PathBuf,
    folder: PathBuf,
}

impl Runtime {
    pub(super) async fn start(programs: &Programs, node: &Path, sandbox: &str) -> Result<Self> {
        let folder = node.join("containerd");
        let networks = folder.join("net.d");
        fs::create_dir_all(&networks)?;
        fs::write(networks.join("10-bridge.conflist"), network())?;
        let config = folder.join("config.toml");
        fs::write(&config, settings(programs, &folder, &networks, sandbox))?;
        // containerd searches for shims on PATH.
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", programs.containerd.display());
        let child = Child::spawn(
            Spec::new(
                programs.containerd.join("containerd"),
                folder.join("containerd.log"),
            )
            .arg("--config")
            .arg(config.as_os_str())
            .env("PATH", path),
        )?;
        let runtime = Self {
            child,
            socket: folder.join("containerd.sock"),
            ctr: programs.containerd.join("ctr"),
            folder,
        };
        let ready = wait::until("containerd ready", READY_LIMIT, async || {
            anyhow::ensure!(runtime.child.is_running(), "containerd ended");
            Ok(runtime.ctr(&["version"]).await.ok())
        })
        .await;
        ready.with_context(|| runtime.child.log_tail())?;
        Ok(runtime)
    }

    /// Imports an OCI archive.
    pub(super) async fn import(&self, archive: &Path) -> Result<()> {
        let archive = archive.display().to_string();
        self.ctr(&["-n", "k8s.io", "images", "import", "--local", &archive])
            .await
    }

    /// Kills the process of a container, as when it crashes.
    pub(super) async fn crash(&self, id: &str) -> Result<()> {
        self.ctr(&["-n", "k8s.io", "tasks", "kill", "--signal", "SIGKILL", id])
            .await
    }

    /// Its address, in the kubelet's form.
    pub(super) fn endpoint(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    async fn ctr(&self, arguments: &[&str]) -> Result<()> {
        let spec = Spec::new(&self.ctr, self.folder.join("ctr.log"))
            .arg("--address")
            .arg(self.socket.as_os_str())
            .args(arguments.iter().copied());
        spec.run(IMPORT_LIMIT).await
    }
}

fn settings(programs: &Programs, folder: &Path, networks: &Path, sandbox: &str) -> String {
    let [root, state, opt, socket] =
        ["root", "state", "opt", "containerd.sock"].map(|name| folder.join(name));
    let quoted = |path: &Path| format!("{:?}", path.display().to_string());
    format!(
        "version = 3
root = {root}
state = {state}
[grpc]
address = {socket}
[plugins.'io.containerd.internal.v1.opt']
path = {opt}
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = {sandbox:?}
[plugins.'io.containerd.cri.v1.runtime']
# The machine may not let even root lower it, and every sandbox would fail.
restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ['/usr/lib/cni']
conf_dir = {networks}
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = 'io.containerd.runc.v2'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = {runc}
SystemdCgroup = false
",
        root = quoted(&root),
        state = quoted(&state),
        opt = quoted(&opt),
        socket = quoted(&socket),
        networks = quoted(networks),
        runc = quoted(&programs.runc.join("runc")),
    )
}

/// A bridge for pods. Nothing is masqueraded, because there is no outside network.
fn network() -> String {
    serde_json::json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "pods0",
                "isGateway": true,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": PODS}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
    .to_string()
}
