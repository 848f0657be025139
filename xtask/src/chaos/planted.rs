//! `cargo xtask chaos --planted`: bugs that are planted in a copy of the project on purpose. Chaos must find each of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{cargo, output, sources};

/// How long there are faults in one attempt, and how many attempts there are, each with another seed: the effects of the faults
/// depend on the machine.
const LENGTH: Duration = Duration::from_mins(2);
const ATTEMPTS: u64 = 4;

/// A change that breaks the system.
struct Bug {
    patch: PathBuf,
    /// What is wrong.
    description: String,
    /// Whether it needs the tables on two servers.
    split: bool,
    /// The names of the violations that it causes.
    kinds: Vec<String>,
}

/// The bugs in `crates/chaos/planted`. The first line of a file says what is wrong, the second is `servers: one` or
/// `servers: two`, and the third is `finds: ` and the kinds of violations that it may cause.
fn bugs() -> Result<Vec<Bug>> {
    let mut bugs = Vec::new();
    for file in fs::read_dir(cargo::root().join("crates/chaos/planted"))? {
        let patch = file?.path();
        let text = fs::read_to_string(&patch)?;
        let mut lines = text.lines();
        let description = lines.next().unwrap_or_default().to_owned();
        let split = match lines.next() {
            Some("servers: one") => false,
            Some("servers: two") => true,
            _ => bail!("{} has no line `servers: `", patch.display()),
        };
        let kinds = lines.next().and_then(|line| line.strip_prefix("finds: "));
        let kinds = kinds.with_context(|| format!("{} has no line `finds: `", patch.display()))?;
        bugs.push(Bug {
            kinds: kinds.split(' ').map(str::to_owned).collect(),
            patch,
            description,
            split,
        });
    }
    bugs.sort_by(|one, other| one.patch.cmp(&other.patch));
    Ok(bugs)
}

/// Checks that each patch still applies and compiles.
pub(crate) fn check() -> Result<()> {
    let root = cargo::root();
    let tree = folder().join("tree");
    for bug in bugs()? {
        output::progress(&bug.description);
        sources::copy_to(&tree)?;
        apply(&tree, &bug.patch)?;
        // With the whole workspace the dependencies have the same features, and are built already.
        let mut check = cargo::cargo();
        check
            .current_dir(&tree)
            .args(["check", "--quiet", "--workspace", "--bins", "--target-dir"]);
        cargo::run(check.arg(root.join("target")))
            .with_context(|| format!("{} no longer compiles", bug.patch.display()))?;
    }
    Ok(())
}

/// The folder of the copy and its build.
fn folder() -> PathBuf {
    cargo::root().join("target/planted")
}

/// Applies each patch with `names` in its name, builds, and runs chaos. Fails unless each bug is found.
pub(crate) async fn run(names: &str, seed: u64, out: &Path) -> Result<ExitCode> {
    let folder = folder();
    let tree = folder.join("tree");
    let mut missed = 0;
    for bug in bugs()? {
        let name = bug.patch.file_stem().unwrap_or_default().display().to_string();
        if !name.contains(names) {
            continue;
        }
        output::progress(&format!("{name}: {}", bug.description));
        sources::copy_to(&tree)?;
        apply(&tree, &bug.patch)?;
        let mut build = cargo::cargo();
        build.current_dir(&tree).args(["build", "--target-dir"]);
        build.arg(folder.join("target"));
        cargo::run(build.args(["-p", "arxiv-operator", "-p", "arxiv-api-server"]))?;
        let mut found = false;
        for seed in seed..seed + ATTEMPTS {
            let report = chaos::run(&chaos::Settings {
                seed,
                length: LENGTH,
                split: bug.split,
                min_interval: chaos::Settings::DEFAULT_MIN_INTERVAL,
                environment: Vec::new(),
                binaries: folder.join("target/debug"),
                folder: out.join(&name),
            })
            .await?;
            let mut violations = report.violations.iter();
            let first = violations.find(|violation| bug.kinds.contains(&format!("{:?}", violation.kind)));
            found = first.is_some();
            let shown = first.map_or_else(|| "not found".to_owned(), ToString::to_string);
            output::result(&format!("{name}: {shown}\n  {report}"));
            if found {
                break;
            }
        }
        missed += u32::from(!found);
    }
    output::result(&format!("planted bugs that were not found: {missed}"));
    Ok(if missed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn apply(tree: &Path, patch: &Path) -> Result<()> {
    let output = Command::new("git")
        .current_dir(tree)
        // The copy is inside of the project's own repository, which git must not use.
        .env("GIT_CEILING_DIRECTORIES", tree.parent().unwrap_or(tree))
        .arg("apply")
        .arg(patch)
        .output()?;
    if !output.status.success() {
        bail!(
            "{} no longer applies: {}",
            patch.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}
