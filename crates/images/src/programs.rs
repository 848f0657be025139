//! Building the programs that go into images: static, and free of this machine's paths.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Builds programs of the workspace (`(package, program)`), optimised and static, and gives the folder they are in.
///
/// glibc is linked in whole: its parts that look up names (`files` and `dns`) have been inside since 2.34, so an image needs
/// nothing beside the program. The target folder is one of its own, since the flags are.
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

/// glibc goes in whole.
pub(crate) const STATIC: &str = "-Ctarget-feature=+crt-static";
/// Where code of others lies: the variable that says where, the folder below the home without it, and how it is shown.
pub(crate) const HOMES: [(&str, &str, &str); 2] = [
    ("CARGO_HOME", ".cargo", "/cargo"),
    ("RUSTUP_HOME", ".rustup", "/rustup"),
];
/// How the workspace's root is shown.
pub(crate) const SOURCE: &str = "/source";

/// Where sources lie would otherwise be told by panics, and make two machines' programs differ.
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
