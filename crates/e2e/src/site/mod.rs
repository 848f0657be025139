//! A release of the chart and all that it needs: databases beside the node, the stand-in arXiv as a pod.

mod door;
mod kubectl;
mod pods;
pub(crate) mod strangers;
mod values;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use anyhow::Result;
use kube::Client;
use testbed::stack::Databases;
use tokio::process::Command;

use crate::cluster::Cluster;
use crate::forward::Forward;

pub(crate) use pods::selector;

/// Namespace of the release, and of the queries.
pub(crate) const NAMESPACE: &str = "arxiv";
/// Name of the release; it has the chart's name in it, so objects are named by it alone.
pub(crate) const RELEASE: &str = "arxiv-operator";
/// The longest that helm waits.
const HELM_LIMIT: Duration = Duration::from_mins(5);

/// Everything that a release stands on.
#[derive(Debug)]
pub(crate) struct Site {
    // Fields are dropped in this order: what depends on others first.
    primary: Forward,
    replica: Forward,
    /// The servers beside the node.
    pub(crate) databases: Databases,
    pub(crate) cluster: Cluster,
}

impl Site {
    /// Starts the databases, and makes the namespace with its Secret and the stand-in.
    pub(crate) async fn prepare(cluster: Cluster) -> Result<Self> {
        let databases = Databases::start(cluster.folder(), false, false).await?;
        let primary = Forward::to(cluster.host(), databases.primary.port()).await?;
        let replica = Forward::to(cluster.host(), databases.replica.port()).await?;
        let site = Self {
            primary,
            replica,
            databases,
            cluster,
        };
        site.apply(&values::world(&site)).await?;
        site.kubectl(&[
            "-n",
            "upstream",
            "rollout",
            "status",
            "deployment/arxiv",
            "--timeout=120s",
        ])
        .await?;
        Ok(site)
    }

    /// A client with the admin's rights.
    pub(crate) async fn client(&self) -> Result<Client> {
        self.cluster.client().await
    }

    /// Installs or upgrades the release with the values of this site and these, and waits until it runs.
    pub(crate) async fn release(&self, values: &str) -> Result<()> {
        let own = self.cluster.folder().join("values.yaml");
        std::fs::write(&own, values::values(self))?;
        let further = self.cluster.folder().join("further.yaml");
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

    /// Runs helm; an error with what it said when it fails.
    pub(crate) async fn helm(&self, arguments: &[&str]) -> Result<String> {
        let program = tokio::task::spawn_blocking(chart::helm).await??;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("KUBECONFIG", self.cluster.kubeconfig())
            .env("HOME", self.cluster.folder())
            .kill_on_drop(true);
        let output = tokio::time::timeout(HELM_LIMIT + Duration::from_secs(30), command.output()).await??;
        if !output.status.success() {
            anyhow::bail!(
                "helm {}\n{}\n{}",
                arguments.join(" "),
                told(&output),
                self.state().await
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Where pods find the primary.
    pub(crate) fn primary(&self) -> (Ipv4Addr, u16) {
        (self.cluster.host(), self.primary.port())
    }

    /// A token for what is guarded of the API.
    pub(crate) async fn token(&self) -> Result<String> {
        let told = self
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
        Ok(told.trim().to_owned())
    }
}

fn told(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    format!("{}\n{}", text(&output.stdout), text(&output.stderr))
}

/// Where an example of the repository is.
pub(crate) fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples")
        .join(name)
}
