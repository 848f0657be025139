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
    for name in variables_of_package() {
        command.env_remove(name);
    }
    command
}

/// The variables with which `cargo run` describes this package. A cargo that is started from here must not see them: the build
/// script of ring is run again when they change, and then everything that uses TLS is built again, here and in the next
/// `cargo xtask`.
pub(crate) fn variables_of_package() -> impl Iterator<Item = OsString> {
    let names = std::env::vars_os().map(|(name, _)| name);
    names.filter(|name| {
        let name = name.to_string_lossy();
        name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
    })
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    /// The libraries that a command of cargo builds, each with its features.
    fn libraries(command: &[&str]) -> BTreeSet<String> {
        let mut cargo = cargo();
        // The graph is not stable yet: a stable cargo has to be asked in this way.
        cargo
            .args(command)
            .args(["--unit-graph", "-Zunstable-options"])
            .env("RUSTC_BOOTSTRAP", "1");
        let output = cargo.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let graph: Value = serde_json::from_slice(&output.stdout).unwrap();
        let units = graph["units"].as_array().unwrap().iter();
        units
            .filter(|unit| unit["mode"] == "build" && unit["target"]["kind"][0] != "bin")
            .map(|unit| format!("{} {}", unit["pkg_id"], unit["features"]))
            .collect()
    }

    #[test]
    fn libraries_have_the_same_features_in_all_builds() {
        let of_tests = libraries(&["test", "--workspace", "--no-run"]);
        for command in [["build", "--bin", "xtask"], ["build", "--workspace", "--bins"]] {
            let of_command = libraries(&command);
            let others: Vec<_> = of_command.difference(&of_tests).collect();
            assert!(
                others.is_empty(),
                "cargo {command:?} builds these once more than tests do, see xtask/Cargo.toml: {others:?}"
            );
        }
    }
}
