//! `cargo xtask lint`: everything that is checked without running the project.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{cargo, crds, output, planted};

/// The version that the checks were written with.
const DENY: &str = "0.20.2";

type Check = fn() -> Result<()>;

pub(crate) fn run() -> Result<()> {
    let checks: [(&str, Check); 6] = [
        ("formatting", formatting),
        ("clippy", clippy),
        (
            "dependencies (bans, licences, sources; advisories need a database from the internet)",
            deny,
        ),
        ("generated CRDs", crds::check),
        ("planted bugs that the fault harness has to find", planted::check),
        ("documentation", documentation),
    ];
    let mut failed = Vec::new();
    for (name, check) in checks {
        output::progress(&format!("== {name}"));
        if let Err(error) = check() {
            output::progress(&format!("error: {error:#}"));
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    output::result("all checks passed");
    Ok(())
}

fn formatting() -> Result<()> {
    cargo::run(cargo::cargo().args(["fmt", "--all", "--check"]))
}

fn clippy() -> Result<()> {
    cargo::run(cargo::cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

fn documentation() -> Result<()> {
    let mut command = cargo::cargo();
    cargo::run(
        command
            .args(["doc", "--workspace", "--no-deps", "--quiet"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}

fn deny() -> Result<()> {
    let folder = testbed::scratch::cache()?.join("tools");
    let kept = folder.join("bin/cargo-deny");
    let mut program = Command::new("cargo-deny");
    let on_path = program
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success());
    let mut program = if on_path {
        Command::new("cargo-deny")
    } else {
        if !kept.is_file() {
            output::progress("building cargo-deny (once, about three minutes on two cores)");
            let mut install = cargo::cargo();
            install
                .args(["install", "--locked", "--version", DENY, "cargo-deny", "--root"])
                .arg(&folder);
            cargo::run(&mut install).context("cargo-deny cannot be built")?;
        }
        Command::new(kept)
    };
    program
        .current_dir(cargo::root())
        .args(["--workspace", "check", "bans", "licenses", "sources"]);
    cargo::run(&mut program)
}
