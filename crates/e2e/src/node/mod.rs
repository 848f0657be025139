//! A whole cluster of one node, from the programs that real ones run.

mod controllers;
mod kubelet;
mod programs;
mod proxy;
mod runtime;

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Node as NodeObject;
use kube::api::Api;
use testbed::ControlPlane;
use testbed::TempDir;
use testbed::process::Child;
use testbed::wait;

use crate::addons;
use programs::Programs;
pub use runtime::Runtime;

/// The node's address, and that of everything beside its pods.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 1);
/// The node's name.
pub const NAME: &str = "node";
/// Where pods get their addresses from.
const PODS: &str = "10.244.0.0/24";
const READY_LIMIT: Duration = Duration::from_mins(3);

/// The running cluster. Dropping it ends its processes; containers end with the namespaces they run in.
#[derive(Debug)]
pub struct Node {
    // Fields are dropped in this order: what depends on others first.
    processes: Vec<Child>,
    runtime: Runtime,
    control_plane: ControlPlane,
    temp_dir: TempDir,
}

/// Builds or finds what [`Node::start`] needs. To be done outside of the room: there is no way to any registry inside.
pub async fn prepare() -> Result<()> {
    testbed::control_plane::Toolchain::ready().await?;
    tokio::task::spawn_blocking(|| Programs::ready().map(drop)).await?
}

impl Node {
    /// Starts everything, and waits until pods can run. `sandbox` is the image that holds a pod's network.
    pub async fn start(sandbox: &Path, sandbox_reference: &str) -> Result<Self> {
        let programs = tokio::task::spawn_blocking(Programs::ready).await??;
        let temp_dir = TempDir::new("node")?;
        let folder = temp_dir.path().to_owned();
        let control_plane = ControlPlane::start_for_node(&folder.join("control-plane"), ADDRESS).await?;
        let runtime = Runtime::start(&programs, &folder, sandbox_reference).await?;
        runtime.import(sandbox).await?;
        let kubeconfig = control_plane.admin_kubeconfig();
        let specs = [
            controllers::manager(&programs, &folder, &control_plane),
            controllers::scheduler(&programs, &folder, &control_plane),
            kubelet::kubelet(&programs, &folder, &control_plane, &runtime)?,
            proxy::kube_proxy(&programs, &folder, &control_plane)?,
            addons::dns(&programs.addons, &folder, &kubeconfig, ADDRESS)?,
            addons::metrics(&programs.addons, &folder, &kubeconfig, ADDRESS),
        ];
        let processes = specs.into_iter().map(Child::spawn).collect::<Result<_>>()?;
        let node = Self {
            processes,
            runtime,
            control_plane,
            temp_dir,
        };
        node.ready().await?;
        let client = node.control_plane.client().await?;
        addons::serve_dns(&client, ADDRESS).await?;
        addons::serve_metrics(&client, NAME, ADDRESS).await?;
        Ok(node)
    }

    /// The API server and what belongs to it.
    pub fn control_plane(&self) -> &ControlPlane {
        &self.control_plane
    }

    /// Where images are brought in.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// A folder that goes with the node.
    pub fn folder(&self) -> &Path {
        self.temp_dir.path()
    }

    async fn ready(&self) -> Result<()> {
        let nodes: Api<NodeObject> = Api::all(self.control_plane.client().await?);
        let ready = wait::until("node ready", READY_LIMIT, async || {
            for process in &self.processes {
                anyhow::ensure!(process.is_running(), "a process ended\n{}", process.log_tail());
            }
            let node = nodes.get_opt(NAME).await?;
            let conditions = node.and_then(|node| node.status?.conditions).unwrap_or_default();
            let is = |kind: &str| {
                conditions
                    .iter()
                    .any(|one| one.type_ == kind && one.status == "True")
            };
            Ok(is("Ready").then_some(()))
        })
        .await;
        ready.with_context(|| {
            let tails: Vec<String> = self.processes.iter().map(Child::log_tail).collect();
            tails.join("\n")
        })
    }
}
