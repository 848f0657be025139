//! helm: from the cache, else built from its pinned Go module; and what it renders.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, bail, ensure};
use testbed::go_tools::GoTools;

use crate::{Objects, folder};

const HELM: GoTools = GoTools {
    name: "helm",
    takes: "about a minute and a half",
    go_mod: include_str!("../helm/go.mod"),
    go_sum: include_str!("../helm/go.sum"),
    link_flags: "",
    cgo: false,
    tags: "",
    programs: &[("helm", "helm")],
};

/// The release that [`render`] makes.
pub const RELEASE: &str = "papers";
/// The namespace of that release.
pub const NAMESPACE: &str = "library";

/// The program; built when it is first asked for on a machine.
pub fn helm() -> Result<&'static Path> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let ready = || {
        HELM.ready()
            .map(|folder| folder.join("helm"))
            .map_err(|error| format!("{error:#}"))
    };
    PROGRAM
        .get_or_init(ready)
        .as_deref()
        .map_err(|error| anyhow!("{error}"))
}

/// The objects of a release of the chart with these values (YAML).
pub fn render(values: &str) -> Result<Objects> {
    render_chart(&folder(), values)
}

/// The objects of a release of the chart in `chart`.
pub fn render_chart(chart: &Path, values: &str) -> Result<Objects> {
    let output = template(chart, values)?;
    let (out, err) = (
        String::from_utf8(output.stdout)?,
        String::from_utf8_lossy(&output.stderr),
    );
    ensure!(output.status.success(), "helm refuses\n{values}\n{err}");
    ensure!(err.is_empty(), "helm warns\n{values}\n{err}");
    Objects::read(&out).with_context(|| format!("rendered with\n{values}"))
}

/// What helm says when it refuses these values.
pub fn refusal(values: &str) -> Result<String> {
    let output = template(&folder(), values)?;
    if output.status.success() {
        bail!("helm takes\n{values}");
    }
    Ok(String::from_utf8(output.stderr)?)
}

fn template(chart: &Path, values: &str) -> Result<Output> {
    let mut helm = Command::new(helm()?)
        .args(["template", RELEASE])
        .arg(chart)
        .args(["--namespace", NAMESPACE, "--values", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    helm.stdin.take().context("stdin")?.write_all(values.as_bytes())?;
    Ok(helm.wait_with_output()?)
}
