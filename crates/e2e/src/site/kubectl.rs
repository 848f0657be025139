//! kubectl, as people use it.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::{NAMESPACE, Site, told};

const LIMIT: Duration = Duration::from_mins(4);

impl Site {
    /// Runs kubectl; an error with what it said when it fails.
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.run(arguments, "").await
    }

    /// Applies manifests.
    pub(crate) async fn apply(&self, manifests: &str) -> Result<()> {
        self.run(&["apply", "--server-side", "-f", "-"], manifests)
            .await
            .map(drop)
    }

    /// What there is, for a message that has to explain a failure.
    pub(crate) async fn state(&self) -> String {
        let mut told = Vec::new();
        for arguments in [
            ["-n", NAMESPACE, "get", "pods,jobs,hpa", "-o", "wide"].as_slice(),
            &["-n", NAMESPACE, "get", "events", "--sort-by=.lastTimestamp"],
            &[
                "-n",
                NAMESPACE,
                "logs",
                "--all-containers",
                "--tail=15",
                "--prefix",
                "-l",
                "app.kubernetes.io/instance",
            ],
        ] {
            let shown = self
                .run(arguments, "")
                .await
                .unwrap_or_else(|error| error.to_string());
            told.push(format!("$ kubectl {}\n{shown}", arguments.join(" ")));
        }
        told.join("\n")
    }

    async fn run(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut child = Command::new(self.cluster.kubectl())
            .args(arguments)
            .env("KUBECONFIG", self.cluster.kubeconfig())
            // Where it keeps what it has discovered.
            .env("HOME", self.cluster.folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut stdin = child.stdin.take().context("stdin")?;
        stdin.write_all(input.as_bytes()).await?;
        drop(stdin);
        let output = tokio::time::timeout(LIMIT, child.wait_with_output()).await??;
        if !output.status.success() {
            bail!("kubectl {}\n{}", arguments.join(" "), told(&output));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
