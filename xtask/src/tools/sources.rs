//! Copies of the project: the files that git tracks, with their current contents.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::cargo;

/// Makes the folder equal to the project, whatever it contained before. Unchanged files are not written, so that cargo does not
/// build them again.
pub(crate) fn copy_to(tree: &Path) -> Result<()> {
    let root = cargo::root();
    let mut copied = HashSet::new();
    for name in names(&root)? {
        // Deleted, but not yet committed.
        let Ok(now) = fs::read(root.join(&name)) else {
            continue;
        };
        let to = tree.join(name);
        if !fs::read(&to).is_ok_and(|then| then == now) {
            fs::create_dir_all(to.parent().context("a file in a folder")?)?;
            fs::write(&to, now).with_context(|| to.display().to_string())?;
        }
        copied.insert(to);
    }
    remove_others(tree, &copied)
}

fn names(root: &Path) -> Result<Vec<String>> {
    let list = Command::new("git")
        .current_dir(root)
        .args(["ls-files", "-z"])
        .output()
        .context("git")?;
    ensure!(list.status.success(), "git ls-files: {}", list.status);
    let names = String::from_utf8(list.stdout)?;
    Ok(names.split_terminator('\0').map(str::to_owned).collect())
}

/// Other files would be built: cargo finds tests and programs by their paths.
fn remove_others(folder: &Path, kept: &HashSet<PathBuf>) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            remove_others(&path, kept)?;
        } else if !kept.contains(&path) {
            fs::remove_file(&path).with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}
