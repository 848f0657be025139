//! `cargo xtask chaos --planted`: bugs that are put into a copy of the project on purpose, each of which has to be found.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{cargo, output, sources};

/// For how long there are faults in one attempt, and how many attempts there are, each with a seed of its own: what the faults
/// meet depends on the machine.
const LENGTH: Duration = Duration::from_mins(2);
const ATTEMPTS: u64 = 4;

/// A change that breaks the system.
struct Bug {
    patch: PathBuf,
    /// What is wrong with it.
    description: String,
    /// It shows where the tables are on two servers.
    split: bool,
    /// The kinds of findings that come of it, as they are written.
    kinds: Vec<String>,
}

/// All of them, in `crates/chaos/planted`. A file begins with what is wrong, on a line of its own, then `servers: one` or
/// `servers: two`, then `finds: ` and the kinds of findings that may come of it.
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
            _ => bail!("{} does not tell its servers", patch.display()),
        };
        let kinds = lines.next().and_then(|line| line.strip_prefix("finds: "));
        let kinds = kinds.with_context(|| format!("{} does not tell what is found", patch.display()))?;
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

/// Whether each still fits the code: can be put in, and compiles.
pub(crate) fn check() -> Result<()> {
    let root = cargo::root();
    let tree = folder().join("tree");
    for bug in bugs()? {
        output::progress(&bug.description);
        sources::copy_to(&tree)?;
        apply(&tree, &bug.patch)?;
        // What the project depends on is built already, if it is built with all of the workspace.
        let mut check = cargo::cargo();
        check
            .current_dir(&tree)
            .args(["check", "--quiet", "--workspace", "--bins", "--target-dir"]);
        cargo::run(check.arg(root.join("target")))
            .with_context(|| format!("{} does not compile any more", bug.patch.display()))?;
    }
    Ok(())
}

/// Where the copy is, and what is built of it to be attacked.
fn folder() -> PathBuf {
    cargo::root().join("target/planted")
}

/// Puts each in, builds, and attacks; fails unless what it breaks is found each time.
pub(crate) async fn run(seed: u64, out: &Path) -> Result<ExitCode> {
    let folder = folder();
    let tree = folder.join("tree");
    let mut missed = 0;
    for bug in bugs()? {
        let name = bug.patch.file_stem().unwrap_or_default().display().to_string();
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
                interval: chaos::Settings::INTERVAL,
                environment: Vec::new(),
                binaries: folder.join("target/debug"),
                folder: out.join(&name),
            })
            .await?;
            let mut fitting = report.violations.iter();
            let first = fitting.find(|violation| bug.kinds.contains(&format!("{:?}", violation.kind)));
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
        // The copy is within the project's own repository, which is not what is meant.
        .env("GIT_CEILING_DIRECTORIES", tree.parent().unwrap_or(tree))
        .arg("apply")
        .arg(patch)
        .output()?;
    if !output.status.success() {
        bail!(
            "{} does not fit the code any more: {}",
            patch.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}
