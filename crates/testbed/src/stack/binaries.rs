//! The project's own programs.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// Paths of the programs.
#[derive(Debug)]
pub(super) struct Binaries {
    pub(super) operator: PathBuf,
    pub(super) api_server: PathBuf,
}

impl Binaries {
    pub(super) fn find(folder: Option<&Path>) -> Result<Self> {
        Ok(Self {
            operator: binary("arxiv-operator", folder)?,
            api_server: binary("arxiv-api-server", folder)?,
        })
    }
}

/// A program in `folder`, or near the running program: `target/debug` for xtask, the parent of `target/debug/deps` for a test.
pub(crate) fn binary(name: &str, folder: Option<&Path>) -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folders: Vec<&Path> = match folder {
        Some(folder) => vec![folder],
        None => program.ancestors().skip(1).take(2).collect(),
    };
    let mut paths = folders.iter().map(|folder| folder.join(name));
    match paths.find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => bail!("{name} is not built: run `cargo build --workspace --bins` (searched {folders:?})"),
    }
}
