//! helm, the current one and Helm 3: from the cache, else built from their pinned Go modules; and what they render.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, bail, ensure};
use testbed::tools::GoTools;

use crate::{Objects, folder};

const HELM: GoTools = GoTools {
    name: "helm",
    takes: "about a minute and a half",
    go_mod: include_str!("../helm/go.mod"),
    go_sum: include_str!("../helm/go.sum"),
    programs: &[("helm", "helm")],
    ..GoTools::DEFAULT
};

const HELM_3: GoTools = GoTools {
    name: "helm3",
    takes: "half a minute",
    go_mod: include_str!("../helm3/go.mod"),
    go_sum: include_str!("../helm3/go.sum"),
    // What it takes for the version of Kubernetes when it asks none.
    link_flags: "-X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=37",
    programs: &[("helm", "helm")],
    ..GoTools::DEFAULT
};

/// The release that [`render`] makes.
pub const RELEASE: &str = "papers";
/// The namespace of that release.
pub const NAMESPACE: &str = "library";

/// The program; built when it is first asked for on a machine.
pub fn helm() -> Result<&'static Path> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    program(&PROGRAM, &HELM)
}

/// The same of Helm 3.
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

/// The same by one or the other helm.
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

/// What helm says when it refuses these values.
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
