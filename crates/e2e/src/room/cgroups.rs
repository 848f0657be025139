//! The cgroups that containers leave behind: they belong to no namespace that ends.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

const MOUNTED: &str = "/sys/fs/cgroup";
/// Below this containerd puts the containers of a kubelet that has no cgroups of its own for pods.
const PARENT: &str = "k8s.io";

/// Whether cgroups can be made here.
pub(super) fn trial() -> Result<()> {
    for hierarchy in hierarchies() {
        let folder = hierarchy.join(format!("arxiv-operator-trial-{}", std::process::id()));
        fs::create_dir(&folder)
            .with_context(|| format!("cgroups cannot be made (root is needed): {}", folder.display()))?;
        fs::remove_dir(&folder)?;
    }
    Ok(())
}

/// Those of containers, as they are now.
pub(super) fn present() -> BTreeSet<PathBuf> {
    let parents = hierarchies().into_iter().map(|hierarchy| hierarchy.join(PARENT));
    parents.flat_map(|parent| folders(&parent)).collect()
}

/// Removes those that have come since. One with a living process cannot be removed, and stays.
pub(super) fn sweep(before: &BTreeSet<PathBuf>) {
    for folder in present().difference(before) {
        remove(folder);
    }
    for hierarchy in hierarchies() {
        let _ = fs::remove_dir(hierarchy.join(PARENT));
    }
}

/// The one of version 2, or each of version 1.
fn hierarchies() -> Vec<PathBuf> {
    let root = Path::new(MOUNTED);
    if root.join("cgroup.controllers").exists() {
        return vec![root.to_owned()];
    }
    folders(root)
}

fn remove(folder: &Path) {
    for inner in folders(folder) {
        remove(&inner);
    }
    // Files in it are the kernel's, and go with it.
    let _ = fs::remove_dir(folder);
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}
