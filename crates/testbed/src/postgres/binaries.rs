//! The paths of the server's programs.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Result, bail};

use crate::process::find_program;
use crate::tools::build_cache;

/// Debian and its derivatives have the programs of each version here and not on PATH.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Path of one of the server's programs. Installs them if they are missing and this is root on Debian.
pub(super) fn find(program: &str) -> Result<PathBuf> {
    static INSTALLING: Mutex<()> = Mutex::new(());
    if let Some(path) = look(program) {
        return Ok(path);
    }
    let _one_at_a_time = INSTALLING.lock();
    if look(program).is_none() && build_cache::can_apt() {
        build_cache::apt(&["postgresql"], "about half a minute")?;
    }
    match look(program) {
        Some(path) => Ok(path),
        None => bail!(
            "PostgreSQL's server programs are neither on PATH nor under {DEBIAN}; install them, for example with \
             `sudo apt-get install postgresql` or `brew install postgresql`"
        ),
    }
}

fn look(program: &str) -> Option<PathBuf> {
    // All programs from the same folder, the one with the server.
    let on_path = find_program("postgres").and_then(|server| Some(server.parent()?.join(program)));
    on_path
        .filter(|path| path.is_file())
        .or_else(|| newest_in(Path::new(DEBIAN), program))
}

fn newest_in(folder: &Path, program: &str) -> Option<PathBuf> {
    let versions = std::fs::read_dir(folder).ok()?.filter_map(|entry| {
        let name = entry.ok()?.file_name();
        let path = folder.join(&name).join("bin").join(program);
        Some((name.to_str()?.parse::<u32>().ok()?, path))
    });
    versions
        .filter(|(_, path)| path.is_file())
        .max_by_key(|(version, _)| *version)
        .map(|(_, path)| path)
}
