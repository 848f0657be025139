//! Removing the cgroups of containers: they belong to no namespace, so they do not end with one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

const MOUNT_POINT: &str = "/sys/fs/cgroup";
/// containerd puts containers below this, when the kubelet creates no cgroups for pods.
const PARENT: &str = "k8s.io";

/// Checks that cgroups can be created.
pub(super) fn trial() -> Result<()> {
    for hierarchy in hierarchies() {
        let folder = hierarchy.join(format!("arxiv-operator-trial-{}", std::process::id()));
        fs::create_dir(&folder)
            .with_context(|| format!("cgroups cannot be created (root is needed): {}", folder.display()))?;
        fs::remove_dir(&folder)?;
    }
    Ok(())
}

/// The current cgroups of containers.
pub(super) fn present() -> BTreeSet<PathBuf> {
    let parents = hierarchies().into_iter().map(|hierarchy| hierarchy.join(PARENT));
    parents.flat_map(|parent| folders(&parent)).collect()
}

/// Removes those created since. One with a living process cannot be removed, and remains.
pub(super) fn sweep(before: &BTreeSet<PathBuf>) {
    for folder in present().difference(before) {
        remove(folder);
    }
    for hierarchy in hierarchies() {
        let _ = fs::remove_dir(hierarchy.join(PARENT));
    }
}

/// The hierarchy of cgroups version 2, or each one of version 1.
fn hierarchies() -> Vec<PathBuf> {
    let root = Path::new(MOUNT_POINT);
    if root.join("cgroup.controllers").exists() {
        return vec![root.to_owned()];
    }
    folders(root)
}

fn remove(folder: &Path) {
    for inner in folders(folder) {
        remove(&inner);
    }
    // The files in it are the kernel's, and vanish with it.
    let _ = fs::remove_dir(folder);
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}
