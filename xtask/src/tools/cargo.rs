//! Running cargo in the workspace.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// The cargo that runs this program, in the workspace's root.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(root());
    command
}

/// Runs a command to its end with its output shown.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status()?;
    if !status.success() {
        let program = command.get_program().display();
        let first = command.get_args().next().unwrap_or_default().display();
        bail!("{program} {first} failed: {status}");
    }
    Ok(())
}

/// Builds the operator and the API server, and returns their folder.
pub(crate) fn build_binaries(release: bool) -> Result<PathBuf> {
    let mut build = cargo();
    // All packages, so that features are chosen as for `cargo test --workspace` and nothing is built twice. This one, which is
    // running, is built in just that way (see .cargo/config.toml), so it is not touched.
    build.args(["build", "--workspace", "--bins"]);
    if release {
        build.args(["--release", "--exclude", "xtask"]);
    }
    run(&mut build)?;
    let program = std::env::current_exe()?;
    // This program is in target/debug or target/release.
    let target = program.ancestors().nth(2).unwrap_or(Path::new("target"));
    Ok(target.join(if release { "release" } else { "debug" }))
}
