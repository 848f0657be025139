//! helm, the current version and Helm 3: from the cache, or built from pinned Go modules; and rendering with them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, bail, ensure};
use testbed::tools::GoTools;

use crate::{Objects, folder};

const HELM: GoTools = GoTools {
    name: "helm",
    build_time: "about a minute and a half",
    go_mod: include_str!("../helm/go.mod"),
    go_sum: include_str!("../helm/go.sum"),
    programs: &[("helm", "helm")],
    ..GoTools::DEFAULT
};

const HELM_3: GoTools = GoTools {
    name: "helm3",
    build_time: "half a minute",
    go_mod: include_str!("../helm3/go.mod"),
    go_sum: include_str!("../helm3/go.sum"),
    // The Kubernetes version that helm assumes without a cluster.
    link_flags: "-X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=37",
    programs: &[("helm", "helm")],
    ..GoTools::DEFAULT
};

/// The release name in [`render`].
pub const RELEASE: &str = "papers";
/// The namespace of that release.
pub const NAMESPACE: &str = "library";

/// The path of helm, which is built on first use.
pub fn helm() -> Result<&'static Path> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    program(&PROGRAM, &HELM)
}

/// The path of Helm 3.
pub fn helm3() -> Result<&'static Path> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    program(&PROGRAM, &HELM_3)
}

fn program(found: &'static OnceLock<Result<PathBuf, String>>, tools: &GoTools) -> Result<&'static Path> {
    let ready = || {
        tools
            .ready()
            .map(|folder| folder.join("helm"))
            .map_err(|error| format!("{error:#}"))
    };
    found
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
    render_by(helm()?, chart, values)
}

/// The same with a given helm.
pub fn render_by(helm: &Path, chart: &Path, values: &str) -> Result<Objects> {
    let output = template(helm, chart, values)?;
    let (out, err) = (
        String::from_utf8(output.stdout)?,
        String::from_utf8_lossy(&output.stderr),
    );
    ensure!(output.status.success(), "helm refuses\n{values}\n{err}");
    ensure!(err.is_empty(), "helm warns\n{values}\n{err}");
    Objects::read(&out).with_context(|| format!("rendered with\n{values}"))
}

/// helm's error message for these values.
pub fn refusal(values: &str) -> Result<String> {
    let output = template(helm()?, &folder(), values)?;
    if output.status.success() {
        bail!("helm takes\n{values}");
    }
    Ok(String::from_utf8(output.stderr)?)
}

fn template(helm: &Path, chart: &Path, values: &str) -> Result<Output> {
    let mut helm = Command::new(helm)
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
