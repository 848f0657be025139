//! `cargo xtask lint`: every check that does not run the project.

use std::process::Command;

use anyhow::{Result, bail};

use crate::chaos::planted;
use crate::tool::Tool;
use crate::{cargo, crds, output};

const DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
    probe: "--version",
    build_time: "three minutes on two cores",
};

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
        ("planted bugs that chaos must find", planted::check),
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
    let mut deny = Command::new(DENY.program()?);
    deny.current_dir(cargo::root())
        .args(["--workspace", "check", "bans", "licenses", "sources"]);
    cargo::run(&mut deny)
}
