//! Files of pinned Go modules: fetched once, kept in the cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::go_tools::go;
use super::{build_cache, progress};

/// A file of a Go module.
#[derive(Clone, Copy, Debug)]
pub struct GoFile {
    /// Its name in messages, and the name of its folder in the cache.
    pub name: &'static str,
    /// The module.
    pub module: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Its checksum, as go.sum has it.
    pub sum: &'static str,
    /// The file's path in it.
    pub path: &'static str,
}

impl GoFile {
    /// The file, which is fetched with its module if necessary. Blocks.
    pub fn ready(&self) -> Result<PathBuf> {
        let folder = build_cache::folder(self.name, &[self.module, self.version, self.sum, self.path])?;
        let name = Path::new(self.path)
            .file_name()
            .context("a path without a file name")?;
        let file = folder.join(name);
        build_cache::build_once(
            &folder,
            self.name,
            || file.is_file(),
            || self.fetch(&folder, &file),
        )?;
        Ok(file)
    }

    fn fetch(&self, folder: &Path, file: &Path) -> Result<()> {
        let pinned = format!("{}@{}", self.module, self.version);
        let mut command = Command::new(go(self.name)?);
        // Outside of any module. The developer's environment names the module proxy.
        let command = command
            .current_dir(folder.parent().context("a cache without a folder")?)
            .args(["mod", "download", "-json", &pinned])
            .env("GOWORK", "off")
            .env("GOFLAGS", "-mod=mod");
        let output = progress::with_heartbeat(&format!("fetching {pinned}"), || command.output())
            .with_context(|| format!("fetching {pinned}"))?;
        ensure!(
            output.status.success(),
            "{pinned} cannot be fetched: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        let module: Value = serde_json::from_slice(&output.stdout)?;
        ensure!(
            module["Sum"] == self.sum,
            "{pinned} has another checksum: {}",
            module["Sum"]
        );
        let source = module["Dir"].as_str().context("a module without a folder")?;
        fs::create_dir_all(folder)?;
        let unfinished = file.with_extension("unfinished");
        let from = Path::new(source).join(self.path);
        fs::write(
            &unfinished,
            fs::read(&from).with_context(|| from.display().to_string())?,
        )?;
        fs::rename(&unfinished, file)?;
        Ok(())
    }
}
