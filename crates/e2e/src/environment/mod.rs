//! A release of the chart and everything that it needs: databases next to the node, the fake arXiv as a pod.

mod kubectl;
mod pods;
pub(crate) mod probe_pods;
mod services;
mod values;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use anyhow::Result;
use kube::Client;
use testbed::stack::{Databases, Layout};
use tokio::process::Command;

use crate::forward::Forward;
use crate::node::{self, Node};
use crate::test_images::TestImages;

pub(crate) use pods::selector;

/// Namespace of the release, and of the queries.
pub(crate) const NAMESPACE: &str = "arxiv";
/// Name of the release. It contains the chart's name, so it is the whole prefix of objects' names.
pub(crate) const RELEASE: &str = "arxiv-operator";
/// The longest that helm waits.
const HELM_LIMIT: Duration = Duration::from_mins(5);

/// Everything that a release depends on.
#[derive(Debug)]
pub(crate) struct Environment {
    // Fields are dropped in this order: what depends on others first.
    primary: Forward,
    replica: Forward,
    /// The servers outside of the node.
    pub(crate) databases: Databases,
    pub(crate) node: Node,
}

impl Environment {
    /// Starts the node and the databases, and creates the namespaces, the Secret and the fake arXiv.
    pub(crate) async fn prepare(images: &TestImages) -> Result<Self> {
        let node = Node::start(images).await?;
        let databases = Databases::start(node.folder(), Layout::default()).await?;
        let primary = Forward::to(node::ADDRESS, databases.primary.port()).await?;
        let replica = Forward::to(node::ADDRESS, databases.replica.port()).await?;
        let env = Self {
            primary,
            replica,
            databases,
            node,
        };
        env.apply(&values::manifests(&env)).await?;
        env.kubectl(&[
            "-n",
            "upstream",
            "rollout",
            "status",
            "deployment/arxiv",
            "--timeout=120s",
        ])
        .await?;
        Ok(env)
    }

    /// A client with the admin's rights.
    pub(crate) async fn client(&self) -> Result<Client> {
        self.node.control_plane().client().await
    }

    /// Installs or upgrades the release with the values of this environment and these, and waits until it runs.
    pub(crate) async fn release(&self, values: &str) -> Result<()> {
        let own = self.node.folder().join("values.yaml");
        std::fs::write(&own, values::values(self))?;
        let further = self.node.folder().join("further.yaml");
        std::fs::write(&further, values)?;
        let chart = chart::folder().display().to_string();
        let [own, further] = [&own, &further].map(|file| file.display().to_string());
        let arguments = [
            "upgrade",
            "--install",
            RELEASE,
            &chart,
            "--namespace",
            NAMESPACE,
            "--wait",
            "--wait-for-jobs",
            "--timeout",
            "5m",
            "--values",
            &own,
            "--values",
            &further,
        ];
        self.helm(&arguments).await.map(drop)
    }

    /// Runs helm. An error contains its output.
    pub(crate) async fn helm(&self, arguments: &[&str]) -> Result<String> {
        let program = tokio::task::spawn_blocking(chart::helm).await??;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("KUBECONFIG", self.node.control_plane().admin_kubeconfig())
            .env("HOME", self.node.folder())
            .kill_on_drop(true);
        let output = tokio::time::timeout(HELM_LIMIT + Duration::from_secs(30), command.output()).await??;
        if !output.status.success() {
            anyhow::bail!(
                "helm {}\n{}\n{}",
                arguments.join(" "),
                output_text(&output),
                self.state().await
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The address of the primary for pods.
    pub(crate) fn primary(&self) -> (Ipv4Addr, u16) {
        (node::ADDRESS, self.primary.port())
    }

    /// A token for the protected endpoints of the API.
    pub(crate) async fn token(&self) -> Result<String> {
        let token = self
            .kubectl(&[
                "-n",
                NAMESPACE,
                "create",
                "token",
                values::CALLER,
                "--audience",
                "arxiv-api-server",
            ])
            .await?;
        Ok(token.trim().to_owned())
    }
}

fn output_text(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    format!("{}\n{}", text(&output.stdout), text(&output.stderr))
}

/// The path of an example in the repository.
pub(crate) fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples")
        .join(name)
}
