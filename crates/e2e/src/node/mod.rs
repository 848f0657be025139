//! A complete cluster of one node, made of the programs that real clusters run.

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
use crate::test_images::{TOOLS, TestImages};
use programs::Programs;
use runtime::Runtime;

/// The address of the node, and of everything on this machine that pods reach.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 1);
/// The node's name.
pub const NAME: &str = "node";
/// The addresses of pods.
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

/// Builds or finds the programs that [`Node::start`] needs. Must run outside of the sandbox, in which no registry can be reached.
pub async fn prepare() -> Result<()> {
    testbed::control_plane::Toolchain::ready().await?;
    tokio::task::spawn_blocking(|| Programs::ready().map(drop)).await?
}

impl Node {
    /// Starts everything, imports the images, and waits until pods can run. Only inside a [`crate::sandbox`].
    pub async fn start(images: &TestImages) -> Result<Self> {
        let programs = tokio::task::spawn_blocking(Programs::ready).await??;
        let temp_dir = TempDir::new("node")?;
        let folder = temp_dir.path().to_owned();
        let control_plane = ControlPlane::start_for_node(&folder.join("control-plane"), ADDRESS).await?;
        let sandbox = format!("docker.io/library/{TOOLS}");
        let runtime = Runtime::start(&programs, &folder, &sandbox).await?;
        for archive in &images.archives {
            let imported = runtime.import(archive).await;
            imported.with_context(|| format!("cannot import {}", archive.display()))?;
        }
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

    /// The control plane.
    pub fn control_plane(&self) -> &ControlPlane {
        &self.control_plane
    }

    /// A folder that is removed with the node.
    pub fn folder(&self) -> &Path {
        self.temp_dir.path()
    }

    /// Kills the process of a container, as when it crashes. `id` is the `containerID` of the pod's status.
    pub(crate) async fn crash(&self, id: &str) -> Result<()> {
        self.runtime.crash(id.trim_start_matches("containerd://")).await
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
