//! Tools from package registries: a browser from Debian, packages of npm and `PyPI`, pinned by the tests that use them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::build_cache;
use crate::process::{Spec, find_program};

/// Downloads of some dozens of packages on a slow line.
const INSTALL_LIMIT: Duration = Duration::from_mins(10);

/// Path of one of these programs. When none exists, the Debian packages are installed, if that needs no question (root on
/// Debian). `time` says how long that takes. Blocks.
pub fn program(names: &[&str], packages: &[&str], time: &str) -> Result<PathBuf> {
    static INSTALLING: Mutex<()> = Mutex::new(());
    let find = || names.iter().find_map(|name| find_program(name));
    if let Some(path) = find() {
        return Ok(path);
    }
    let _one_at_a_time = INSTALLING.lock();
    if find().is_none() && build_cache::can_apt() {
        build_cache::apt(packages, time)?;
    }
    match find() {
        Some(path) => Ok(path),
        None => bail!(
            "none of {} is on PATH; install one, for example with `sudo apt-get install {}`",
            names.join(", "),
            packages.join(" ")
        ),
    }
}

/// Installs the Debian packages whose file (the first of each pair) does not exist, if that needs no question. Blocks.
pub fn debian(required: &[(&str, &str)], time: &str) -> Result<()> {
    let missing = || -> Vec<&str> {
        let lacking = required.iter().filter(|(file, _)| !Path::new(file).exists());
        lacking.map(|(_, package)| *package).collect()
    };
    let packages = missing();
    if !packages.is_empty() && build_cache::can_apt() {
        build_cache::apt(&packages, time)?;
    }
    let missing = missing();
    if !missing.is_empty() {
        bail!("files of the Debian packages {} are missing", missing.join(" "));
    }
    Ok(())
}

/// The folder with the unpacked files of Debian packages, which are not installed: no script of theirs runs, and what they
/// depend on is not there. Blocks.
pub fn unpacked(name: &str, packages: &[&str]) -> Result<PathBuf> {
    let folder = build_cache::folder(name, packages)?;
    let unpack = |unfinished: &Path, log: &Path| {
        let download = || {
            Spec::new("apt-get", log)
                .envs(std::env::vars_os())
                .current_dir(unfinished)
                .args(["download", "-q"])
                .args(packages)
        };
        let what = format!("apt-get download for {name}");
        if build_cache::run(&what, download(), INSTALL_LIMIT).is_err() {
            // The lists of packages may be missing or old.
            let update = Spec::new("apt-get", log)
                .envs(std::env::vars_os())
                .args(["update", "-q"]);
            build_cache::run("apt-get update", update, INSTALL_LIMIT)?;
            build_cache::run(&what, download(), INSTALL_LIMIT)?;
        }
        for entry in fs::read_dir(unfinished)? {
            let file = entry?.path();
            if file.extension().is_some_and(|extension| extension == "deb") {
                let spec = Spec::new("dpkg-deb", log)
                    .envs(std::env::vars_os())
                    .arg("--extract")
                    .arg(file.as_os_str())
                    .arg(unfinished.as_os_str());
                build_cache::run(&format!("unpacking {}", file.display()), spec, INSTALL_LIMIT)?;
                fs::remove_file(&file)?;
            }
        }
        Ok(())
    };
    installed(&folder, name, unpack)?;
    Ok(folder)
}

/// A Chromium. Blocks.
pub fn chromium() -> Result<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    program(&names, &["chromium", "fonts-liberation"], "about a minute")
}

/// Node.js. Blocks.
pub fn node() -> Result<PathBuf> {
    program(&["node"], &["nodejs", "npm"], "about a minute")
}

/// The folder `node_modules` of a package.json and its lock file. Blocks.
pub fn node_modules(name: &str, package: &str, lock: &str) -> Result<PathBuf> {
    node()?;
    let npm = program(&["npm"], &["npm"], "about a minute")?;
    let folder = build_cache::folder(name, &[package, lock])?;
    let install = |unfinished: &Path, log: &Path| {
        fs::write(unfinished.join("package.json"), package)?;
        fs::write(unfinished.join("package-lock.json"), lock)?;
        let spec = Spec::new(&npm, log)
            .envs(std::env::vars_os())
            .arg("--prefix")
            .arg(unfinished.as_os_str())
            // No install script is needed: only the files are used.
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
        build_cache::run(&format!("npm ci for {name}"), spec, INSTALL_LIMIT)
    };
    installed(&folder, name, install)?;
    Ok(folder.join("node_modules"))
}

/// The folder `bin` of a Python environment with these requirements. Blocks.
pub fn python(name: &str, requirements: &str) -> Result<PathBuf> {
    let python = program(&["python3"], &["python3", "python3-venv"], "about half a minute")?;
    let folder = build_cache::folder(name, &[requirements])?;
    let install = |unfinished: &Path, log: &Path| {
        let file = unfinished.join("requirements.txt");
        fs::write(&file, requirements)?;
        // Its programs contain its path, so it is created at its final place.
        let venv = || {
            Spec::new(&python, log)
                .envs(std::env::vars_os())
                .args(["-m", "venv", "--clear"])
                .arg(venv_of(&folder))
        };
        let what = format!("a Python environment for {name}");
        if let Err(error) = build_cache::run(&what, venv(), INSTALL_LIMIT) {
            if !build_cache::can_apt() {
                return Err(error).context("python3 -m venv does not work; on Debian that is python3-venv");
            }
            build_cache::apt(&["python3-venv"], "about half a minute")?;
            build_cache::run(&what, venv(), INSTALL_LIMIT)?;
        }
        let pip = Spec::new(venv_of(&folder).join("bin/python"), log)
            .envs(std::env::vars_os())
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-input",
                "--disable-pip-version-check",
                "-r",
            ])
            .arg(file.as_os_str());
        build_cache::run(&format!("pip install for {name}"), pip, INSTALL_LIMIT)
    };
    installed(&folder, name, install)?;
    Ok(venv_of(&folder).join("bin"))
}

fn venv_of(folder: &Path) -> PathBuf {
    folder.with_extension("venv")
}

/// Installs into a temporary folder, which is renamed when it is complete.
fn installed(folder: &Path, name: &str, install: impl FnOnce(&Path, &Path) -> Result<()>) -> Result<()> {
    build_cache::build_once(
        folder,
        name,
        || folder.is_dir(),
        || {
            let unfinished = folder.with_extension("unfinished");
            if unfinished.exists() {
                fs::remove_dir_all(&unfinished)?;
            }
            fs::create_dir_all(&unfinished)?;
            let log = folder.with_extension("log");
            install(&unfinished, &log).with_context(|| {
                format!(
                    "{name} cannot be installed from the package registry; see {}",
                    log.display()
                )
            })?;
            Ok(fs::rename(&unfinished, folder)?)
        },
    )
}
