//! `cargo xtask test`: all tests, on the real control plane and Postgres.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use testbed::control_plane::Toolchain;

use crate::{cargo, output};

/// Runs all tests on a real control plane and real Postgres, and then the short form of `e2e`, where the machine allows a node.
///
/// Ends with the line `N passed, N failed`, and fails when a test did.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Passed on to `cargo test`, for example `-p storage` or `-- --nocapture gate`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    testbed::postgres::ensure_installed()?;
    Toolchain::ready().await?;
    let built = cargo::build_binaries(false)?;

    let mut command = cargo::cargo();
    command.arg("test");
    // A package that is named takes the place of all.
    if !arguments
        .rest
        .iter()
        .any(|argument| argument == "-p" || argument.starts_with("--package"))
    {
        command.arg("--workspace");
    }
    let mut tests = command
        .args(["--no-fail-fast"])
        .args(&arguments.rest)
        .stdout(Stdio::piped())
        .spawn()
        .context("cargo test does not start")?;
    let mut sum = Sum::default();
    if let Some(lines) = tests.stdout.take() {
        for line in BufReader::new(lines).split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            output::result(&line);
            sum.add(&line);
        }
    }
    let status = tests.wait()?;
    if !status.success() && sum.failed == 0 {
        output::progress(&format!(
            "cargo test ended without a result ({status}): it counts as a failed test"
        ));
        sum.failed = 1;
    }
    if arguments.rest.is_empty() {
        on_a_node(&mut sum, &built)?;
    }
    let Sum { passed, failed } = sum;
    output::result(&format!("{passed} passed, {failed} failed"));
    // Nothing may come after that line, so the exit code tells the rest.
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Counts the run of the chart on a real node as one test. `built`: where programs are, this one too.
fn on_a_node(sum: &mut Sum, built: &Path) -> Result<()> {
    if let Some(reason) = e2e::sandbox::missing() {
        output::progress(&format!(
            "\n*** NOT TESTED: the chart on a real node (`cargo xtask e2e`). This machine cannot have one: {reason}\n"
        ));
        return Ok(());
    }
    output::progress("== the chart on a real node: cargo xtask e2e --short --dev");
    // Not by cargo, which would build this program once more: for itself alone it takes fewer features of what it depends on.
    let status = Command::new(built.join("xtask"))
        .args(["e2e", "--short", "--dev"])
        .status()?;
    if status.success() {
        sum.passed += 1;
    } else {
        output::progress(&format!("the chart on a real node failed ({status})"));
        sum.failed += 1;
    }
    Ok(())
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Sum {
    passed: u64,
    failed: u64,
}

impl Sum {
    /// Adds a line such as `test result: ok. 4 passed; 0 failed; 0 ignored; …`; others say nothing.
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line
            .strip_prefix("test result: ")
            .and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for count in counts.split("; ") {
            match count.split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_all_programs_are_summed() {
        let mut sum = Sum::default();
        for line in [
            "running 2 tests",
            "test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 5.61s",
            "test a::passed ... ok",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 2.18s",
        ] {
            sum.add(line);
        }
        assert_eq!(sum, Sum { passed: 7, failed: 2 });
    }
}
