//! Programs from crates.io that the project's own checks run.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{cargo, output};

/// A program that `cargo install` can build.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    /// The version that this project uses.
    pub(crate) version: &'static str,
    /// An argument with which it does nothing but print information.
    pub(crate) probe: &'static str,
    /// How long the build takes, in words.
    pub(crate) build_time: &'static str,
}

impl Tool {
    /// Its path: on PATH, or in the cache, where it is built if it is missing.
    pub(crate) fn program(&self) -> Result<PathBuf> {
        let on_path = Command::new(self.name).arg(self.probe).output();
        if on_path.is_ok_and(|output| output.status.success()) {
            return Ok(self.name.into());
        }
        let folder = testbed::temp_dir::cache()?.join("tools");
        let cached = folder.join("bin").join(self.name);
        if !cached.is_file() {
            output::progress(&format!(
                "building {} (once, about {})",
                self.name, self.build_time
            ));
            let mut install = cargo::cargo();
            install
                .args([
                    "install",
                    "--locked",
                    "--version",
                    self.version,
                    self.name,
                    "--root",
                ])
                .arg(&folder);
            cargo::run(&mut install).with_context(|| format!("{} cannot be built", self.name))?;
        }
        Ok(cached)
    }
}
