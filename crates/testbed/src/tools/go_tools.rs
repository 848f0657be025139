//! Programs built from pinned Go modules: once, into the cache, by one process while others wait.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::{build_cache, progress};
use crate::process::{Spec, find_program};

/// On a slow and busy machine.
const BUILD_LIMIT: Duration = Duration::from_hours(1);

/// A Go module whose `tool` lines name the programs.
#[derive(Clone, Copy, Debug)]
pub struct GoTools {
    /// Its name in messages, and the name of its folder in the cache.
    pub name: &'static str,
    /// How long the build takes, in words.
    pub build_time: &'static str,
    /// The module's go.mod.
    pub go_mod: &'static str,
    /// The module's go.sum.
    pub go_sum: &'static str,
    /// The module's own main.go, if it has a program of its own (then a `tool` line names the module itself).
    pub main_go: &'static str,
    /// Flags for Go's linker in addition to `-s -w`.
    pub link_flags: &'static str,
    /// Whether they contain C code (which needs a C compiler).
    pub cgo: bool,
    /// Build tags.
    pub tags: &'static str,
    /// The programs: Go's name for each (the last part of its package's path) and its name in the cache.
    pub programs: &'static [(&'static str, &'static str)],
}

impl GoTools {
    /// Usual settings. Name, module and programs must be set.
    pub const DEFAULT: Self = Self {
        name: "",
        build_time: "",
        go_mod: "",
        go_sum: "",
        main_go: "",
        link_flags: "",
        cgo: false,
        tags: "",
        programs: &[],
    };

    /// The folder with the programs, which are built if necessary. Blocks.
    pub fn ready(&self) -> Result<PathBuf> {
        let folder = self.cached()?;
        build_cache::build_once(
            &folder,
            self.name,
            || self.inside(&folder),
            || self.build(&folder),
        )?;
        Ok(folder)
    }

    /// Whether the folder has all programs.
    pub(crate) fn inside(&self, folder: &Path) -> bool {
        self.programs.iter().all(|(_, name)| folder.join(name).is_file())
    }

    /// The cache folder of this module with these settings.
    fn cached(&self) -> Result<PathBuf> {
        build_cache::folder(
            self.name,
            &[self.go_mod, self.go_sum, self.main_go, self.link_flags, self.tags],
        )
    }

    fn build(&self, folder: &Path) -> Result<()> {
        let go = go(self.name)?;
        progress::print(&format!(
            "building {} (once, {} on two cores)",
            self.name, self.build_time
        ));
        let unfinished = folder.with_extension("unfinished");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)?;
        }
        let (module, bin) = (unfinished.join("module"), unfinished.join("bin"));
        fs::create_dir_all(&module)?;
        fs::create_dir_all(&bin)?;
        fs::write(module.join("go.mod"), self.go_mod)?;
        fs::write(module.join("go.sum"), self.go_sum)?;
        if !self.main_go.is_empty() {
            fs::write(module.join("main.go"), self.main_go)?;
        }
        let spec = Spec::new(go, unfinished.join("build.log"))
            // The developer's environment names the module proxy and the HTTP proxy.
            .envs(std::env::vars_os())
            .arg("-C")
            .arg(module.as_os_str())
            .args(["install", "-mod=readonly", "-trimpath"])
            .arg(format!("-ldflags=-s -w {}", self.link_flags))
            .arg(format!("-tags={}", self.tags))
            .arg("tool")
            .env("GOBIN", &bin)
            .env("GOWORK", "off")
            .env("GOFLAGS", "-buildvcs=false")
            .env("CGO_ENABLED", if self.cgo { "1" } else { "0" });
        build_cache::run(&format!("building {}", self.name), spec, BUILD_LIMIT)?;
        for (built, name) in self.programs {
            if built != name {
                fs::rename(bin.join(built), bin.join(name))?;
            }
        }
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::rename(&bin, folder)?;
        fs::remove_dir_all(&unfinished)?;
        progress::print(&format!("built {}; cached in {}", self.name, folder.display()));
        Ok(())
    }
}

/// The Go compiler, for building `what`.
pub(crate) fn go(what: &str) -> Result<PathBuf> {
    find_program("go")
        .or_else(|| Some("/usr/local/go/bin/go".into()).filter(|go: &PathBuf| go.is_file()))
        .with_context(|| {
            format!("{what} is built from Go modules, and Go is not installed (https://go.dev/doc/install)")
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::temp_dir;

    #[test]
    fn folder_is_used_only_when_complete() {
        let tools = GoTools {
            name: "tools",
            build_time: "no time",
            go_mod: "",
            go_sum: "",
            main_go: "",
            link_flags: "",
            cgo: false,
            tags: "",
            programs: &[("server", "etcd"), ("kubectl", "kubectl")],
        };
        let temp_dir = temp_dir::TempDir::new("go-tools").unwrap();
        for (name, complete) in [("server", false), ("kubectl", false), ("etcd", true)] {
            fs::write(temp_dir.path().join(name), "").unwrap();
            assert_eq!(tools.inside(temp_dir.path()), complete, "{name}");
        }
    }
}
