//! The programs of the control plane: from `KUBEBUILDER_ASSETS`, else from the cache, else built from Go modules.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::process::{Spec, find_program};
use crate::{progress, scratch};

/// The pinned modules, so that a test binary can build them without the source tree.
const GO_MOD: &str = include_str!("../controlplane/go.mod");
const GO_SUM: &str = include_str!("../controlplane/go.sum");

/// On a slow machine with others at work.
const BUILD_LIMIT: Duration = Duration::from_hours(1);

/// Paths of the programs.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// The store.
    pub etcd: PathBuf,
    /// The Kubernetes API server.
    pub kube_apiserver: PathBuf,
    /// The command line client.
    pub kubectl: PathBuf,
}

impl Toolchain {
    /// Finds the programs, or builds them: about five minutes on two cores, once.
    pub async fn ready() -> Result<Self> {
        tokio::task::spawn_blocking(Self::find_or_build).await?
    }

    fn find_or_build() -> Result<Self> {
        if let Some(folder) = std::env::var_os("KUBEBUILDER_ASSETS") {
            let folder = PathBuf::from(folder);
            return Self::inside(&folder).with_context(|| {
                format!(
                    "KUBEBUILDER_ASSETS={} lacks etcd, kube-apiserver or kubectl",
                    folder.display()
                )
            });
        }
        let folder = cached()?;
        if let Some(found) = Self::inside(&folder) {
            return Ok(found);
        }
        // One process builds, the others wait here and find the result.
        let lock_path = folder.with_extension("lock");
        let _lock = if let Some(lock) = scratch::try_lock(&lock_path)? {
            lock
        } else {
            progress::while_saying(
                "waiting for another process that builds the control plane",
                || scratch::lock(&lock_path),
            )?
        };
        if Self::inside(&folder).is_none() {
            build(&folder)?;
        }
        Self::inside(&folder).context("the build left no etcd, kube-apiserver and kubectl")
    }

    fn inside(folder: &Path) -> Option<Self> {
        let program = |name| Some(folder.join(name)).filter(|path| path.is_file());
        Some(Self {
            etcd: program("etcd")?,
            kube_apiserver: program("kube-apiserver")?,
            kubectl: program("kubectl")?,
        })
    }
}

/// Where the programs of these very modules are kept.
fn cached() -> Result<PathBuf> {
    let hash = Sha256::new().chain_update(GO_MOD).chain_update(GO_SUM).finalize();
    let start = hash
        .iter()
        .take(6)
        .fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
    Ok(scratch::cache()?.join(format!("controlplane-{start:012x}")))
}

fn build(folder: &Path) -> Result<()> {
    let Some(go) = find_program("go")
        .or_else(|| Some("/usr/local/go/bin/go".into()).filter(|go: &PathBuf| go.is_file()))
    else {
        bail!(
            "the Kubernetes control plane is built from Go modules, and Go is not installed; install it \
             (https://go.dev/doc/install), or set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver and kubectl"
        );
    };
    progress::say("building etcd, kube-apiserver and kubectl (once, about five minutes on two cores)");
    let unfinished = folder.with_extension("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    let (module, bin) = (unfinished.join("module"), unfinished.join("bin"));
    fs::create_dir_all(&module)?;
    fs::create_dir_all(&bin)?;
    fs::write(module.join("go.mod"), GO_MOD)?;
    fs::write(module.join("go.sum"), GO_SUM)?;
    let spec = Spec::new(go, unfinished.join("build.log"))
        // Where modules come from and what proxy is needed is the developer's to say.
        .envs(std::env::vars_os())
        .arg("-C")
        .arg(module.as_os_str())
        .args(["install", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "tool"])
        .env("GOBIN", &bin)
        .env("GOWORK", "off")
        .env("GOFLAGS", "-buildvcs=false")
        .env("CGO_ENABLED", "0");
    let runtime = tokio::runtime::Handle::current();
    progress::while_saying("building the control plane", || {
        runtime.block_on(spec.run(BUILD_LIMIT))
    })?;
    // Go names a program after the last part of its package's path.
    fs::rename(bin.join("server"), bin.join("etcd"))?;
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::rename(&bin, folder)?;
    fs::remove_dir_all(&unfinished)?;
    progress::say(&format!("built the control plane; kept in {}", folder.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_counts_only_when_it_is_complete() {
        let scratch = scratch::Scratch::new("toolchain").unwrap();
        for name in ["etcd", "kube-apiserver"] {
            fs::write(scratch.path().join(name), "").unwrap();
            assert!(Toolchain::inside(scratch.path()).is_none());
        }
        fs::write(scratch.path().join("kubectl"), "").unwrap();
        assert!(Toolchain::inside(scratch.path()).is_some());
    }
}
