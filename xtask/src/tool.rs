//! Programs from crates.io that the project's own checks run.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{cargo, output};

/// A program that `cargo install` knows.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    /// The version that its uses here were written with.
    pub(crate) version: &'static str,
    /// An argument on which it only says something of itself.
    pub(crate) harmless: &'static str,
    /// How long it takes to build, in words.
    pub(crate) takes: &'static str,
}

impl Tool {
    /// Where it is: on the path, or in the cache, built there when it is missing.
    pub(crate) fn program(&self) -> Result<PathBuf> {
        let on_path = Command::new(self.name).arg(self.harmless).output();
        if on_path.is_ok_and(|output| output.status.success()) {
            return Ok(self.name.into());
        }
        let folder = testbed::temp_dir::cache()?.join("tools");
        let kept = folder.join("bin").join(self.name);
        if !kept.is_file() {
            output::progress(&format!("building {} (once, about {})", self.name, self.takes));
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
        Ok(kept)
    }
}
