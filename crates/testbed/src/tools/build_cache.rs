//! The cache of tools that are built or installed once per machine: by one process, while others wait.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use sha2::{Digest, Sha256};

use super::progress;
use crate::process::Spec;
use crate::temp_dir;

/// Downloads and unpacking of Debian packages.
const APT_LIMIT: Duration = Duration::from_mins(10);

/// The folder in the cache for exactly these contents.
pub(crate) fn folder(name: &str, contents: &[&str]) -> Result<PathBuf> {
    let mut hash = Sha256::new();
    for content in contents {
        hash.update(content);
    }
    let start = hash
        .finalize()
        .iter()
        .take(6)
        .fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
    Ok(temp_dir::cache()?.join(format!("{name}-{start:012x}")))
}

/// Builds what does not exist yet.
pub(crate) fn build_once(
    folder: &Path,
    what: &str,
    exists: impl Fn() -> bool,
    build: impl FnOnce() -> Result<()>,
) -> Result<()> {
    if exists() {
        return Ok(());
    }
    let lock_path = folder.with_extension("lock");
    let _lock = if let Some(lock) = temp_dir::try_lock(&lock_path)? {
        lock
    } else {
        let waiting = format!("waiting for another process that builds {what}");
        progress::with_heartbeat(&waiting, || temp_dir::lock(&lock_path))?
    };
    if exists() { Ok(()) } else { build() }
}

/// Runs a command to its end on a new thread, so that it works inside and outside of a runtime.
pub(crate) fn run(what: &str, spec: Spec, limit: Duration) -> Result<()> {
    let work = move || -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(spec.run(limit))
    };
    progress::with_heartbeat(what, || match std::thread::spawn(work).join() {
        Ok(outcome) => outcome,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// Whether Debian packages can be installed without asking the user.
pub(crate) fn can_apt() -> bool {
    rustix::process::geteuid().is_root() && Path::new("/etc/debian_version").exists()
}

/// Installs Debian packages.
pub(crate) fn apt(packages: &[&str], time: &str) -> Result<()> {
    let named = packages.join(" ");
    progress::print(&format!("missing: apt-get install {named} (once, {time})"));
    let limit = APT_LIMIT.as_secs().to_string();
    let apt = |args: &[&str]| {
        let mut command = Command::new("timeout");
        let command = command
            .args([&limit, "apt-get"])
            .args(args)
            .env("DEBIAN_FRONTEND", "noninteractive");
        progress::with_heartbeat("apt-get", || command.output())
    };
    apt(&["update", "-q"])?;
    let install = ["install", "-y", "-q", "--no-install-recommends"];
    let output = apt(&[&install[..], packages].concat())?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        bail!("apt-get install {named} failed\n{message}");
    }
    Ok(())
}
