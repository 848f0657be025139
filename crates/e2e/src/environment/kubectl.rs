//! kubectl, as users call it.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::{Environment, NAMESPACE, output_text};

const LIMIT: Duration = Duration::from_mins(4);

impl Environment {
    /// Runs kubectl. An error contains its output.
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.run(arguments, "").await
    }

    /// Applies manifests.
    pub(crate) async fn apply(&self, manifests: &str) -> Result<()> {
        self.run(&["apply", "--server-side", "-f", "-"], manifests)
            .await
            .map(drop)
    }

    /// The state of the release, for the message of a failure.
    pub(crate) async fn state(&self) -> String {
        let mut texts = Vec::new();
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
            texts.push(format!("$ kubectl {}\n{shown}", arguments.join(" ")));
        }
        texts.join("\n")
    }

    async fn run(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut child = Command::new(self.node.control_plane().kubectl())
            .args(arguments)
            .env("KUBECONFIG", self.node.control_plane().admin_kubeconfig())
            // kubectl keeps its discovery cache there.
            .env("HOME", self.node.folder())
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
            bail!("kubectl {}\n{}", arguments.join(" "), output_text(&output));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
