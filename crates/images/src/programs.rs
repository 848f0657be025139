//! Building the programs of images: static, and without this machine's paths.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Builds programs of the workspace (`(package, program)`), optimised and static, and returns their folder.
///
/// glibc is linked statically: since 2.34 it contains its name service modules (`files` and `dns`), so an image needs no other
/// file. The target folder is a separate one, because the compiler flags differ.
pub fn build(programs: &[(&str, &str)]) -> Result<PathBuf> {
    let root = root();
    let target = root.join("target/images");
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(&root)
        .args([
            "build",
            "--release",
            "--locked",
            "--target",
            &triple,
            "--target-dir",
        ])
        .arg(&target)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(&root))
        .env_remove("RUSTFLAGS");
    for (package, program) in programs {
        cargo.args(["-p", package, "--bin", program]);
    }
    let status = cargo.status().context("cargo cannot be run")?;
    ensure!(
        status.success(),
        "the programs for the images cannot be built: {status}"
    );
    Ok(target.join(triple).join("release"))
}

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_owned()
}

/// Links glibc statically.
pub(crate) const STATIC: &str = "-Ctarget-feature=+crt-static";
/// Folders of dependencies: the variable that names one, its default below the home folder, and its replacement in the program.
pub(crate) const HOMES: [(&str, &str, &str); 2] = [
    ("CARGO_HOME", ".cargo", "/cargo"),
    ("RUSTUP_HOME", ".rustup", "/rustup"),
];
/// The replacement for the workspace's root.
pub(crate) const SOURCE: &str = "/source";

/// Without these flags panic messages would contain paths of this machine, and programs would differ between machines.
fn flags(root: &Path) -> OsString {
    let mut flags = OsString::from(STATIC);
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let folders = HOMES.into_iter().filter_map(|(variable, below_home, shown)| {
        let folder = std::env::var_os(variable).map(PathBuf::from);
        Some((folder.or_else(|| Some(home.as_ref()?.join(below_home)))?, shown))
    });
    for (folder, shown) in folders.chain([(root.to_owned(), SOURCE)]) {
        flags.push("\u{1f}--remap-path-prefix=");
        flags.push(folder);
        flags.push("=");
        flags.push(shown);
    }
    flags
}
