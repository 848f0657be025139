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
    /// Looks in a folder, or beside the running program: `target/debug` for xtask, `target/debug/deps` for a test.
    pub(super) fn find(folder: Option<&Path>) -> Result<Self> {
        let program = std::env::current_exe()?;
        let folders: Vec<&Path> = match folder {
            Some(folder) => vec![folder],
            None => program.ancestors().skip(1).take(2).collect(),
        };
        let find = |name: &str| match folders
            .iter()
            .map(|folder| folder.join(name))
            .find(|path| path.is_file())
        {
            Some(path) => Ok(path),
            None => bail!("{name} is not built: `cargo build --workspace --bins` (looked in {folders:?})"),
        };
        Ok(Self {
            operator: find("arxiv-operator")?,
            api_server: find("arxiv-api-server")?,
        })
    }
}
