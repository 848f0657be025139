//! helm: from the cache, else built from its pinned Go module; and what it renders.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, bail, ensure};
use sha2::{Digest, Sha256};
use testbed::process::find_program;
use testbed::scratch;

use crate::{Objects, folder};

const GO_MOD: &str = include_str!("../helm/go.mod");
const GO_SUM: &str = include_str!("../helm/go.sum");

/// The release that [`render`] makes.
pub const RELEASE: &str = "papers";
/// The namespace of that release.
pub const NAMESPACE: &str = "library";

/// The program; built (about a minute and a half on two cores) when it is first asked for on a machine.
pub fn helm() -> Result<&'static Path> {
    static HELM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = HELM.get_or_init(|| find_or_build().map_err(|error| format!("{error:#}")));
    found.as_deref().map_err(|error| anyhow!("{error}"))
}

fn find_or_build() -> Result<PathBuf> {
    let hash = Sha256::new().chain_update(GO_MOD).chain_update(GO_SUM).finalize();
    let id = hash
        .iter()
        .take(6)
        .fold(0, |id: u64, byte| id << 8 | u64::from(*byte));
    let place = scratch::cache()?.join(format!("helm-{id:012x}"));
    let program = place.join("helm");
    if program.is_file() {
        return Ok(program);
    }
    // One process builds, the others wait here and find the result.
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(place.with_extension("lock"))?;
    lock.lock()?;
    if !program.is_file() {
        build(&place)?;
    }
    Ok(program)
}

fn build(place: &Path) -> Result<()> {
    let go = find_program("go")
        .or_else(|| Some("/usr/local/go/bin/go".into()).filter(|go: &PathBuf| go.is_file()))
        .context("helm is built from its Go module, and Go is not installed (https://go.dev/doc/install)")?;
    let _ = writeln!(
        std::io::stderr().lock(),
        "chart: building helm (once, about a minute and a half)"
    );
    let (module, bin) = (place.join("module"), place.join("bin"));
    fs::create_dir_all(&module)?;
    fs::write(module.join("go.mod"), GO_MOD)?;
    fs::write(module.join("go.sum"), GO_SUM)?;
    let output = Command::new(go)
        .args(["install", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "tool"])
        .current_dir(&module)
        .env("GOBIN", &bin)
        .env("GOWORK", "off")
        .env("GOFLAGS", "-buildvcs=false")
        .env("CGO_ENABLED", "0")
        .output()?;
    ensure!(
        output.status.success(),
        "building helm failed\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // Complete once it has its name.
    fs::rename(bin.join("helm"), place.join("helm"))?;
    fs::remove_dir_all(&module)?;
    Ok(())
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
