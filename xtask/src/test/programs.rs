//! Building the test programs, once for all.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::libtest;
use super::units::RUSTC_BOOTSTRAP;
use crate::cargo;

/// A test program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    /// The package that it tests.
    pub(super) package: String,
    /// `lib`, `bin NAME`, or the name of the file or folder in `tests`.
    pub(super) target: String,
    /// It is in `tests`: an integration test, which may start servers.
    pub(super) integration: bool,
    /// The program itself.
    pub(super) executable: PathBuf,
    /// The package's folder, in which cargo runs it.
    pub(super) folder: PathBuf,
}

/// Builds the test programs that cargo's arguments select. Cargo shows errors itself.
pub(super) async fn build(arguments: &[String]) -> Result<Vec<Program>> {
    let mut command = tokio::process::Command::from(cargo::cargo());
    command
        .args(["test", "--no-run", "--message-format=json-render-diagnostics"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    let mut build = command.spawn().context("cargo test does not start")?;
    let output = build.stdout.take().context("cargo has no output")?;
    let mut lines = BufReader::new(output).lines();
    let mut programs = Vec::new();
    while let Some(line) = lines.next_line().await? {
        programs.extend(program(&line));
    }
    let status = build.wait().await?;
    if !status.success() {
        bail!("the tests cannot be built ({status})");
    }
    Ok(programs)
}

/// The program that a line of cargo's output reports, if it reports one.
fn program(line: &str) -> Option<Program> {
    let message: Value = serde_json::from_str(line).ok()?;
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    let executable = message["executable"].as_str()?.into();
    let folder = Path::new(message["manifest_path"].as_str()?).parent()?.to_owned();
    // `path+file:///…/crates/storage#0.1.0`, or `…/api-server#arxiv-api-server@0.1.0` where the folder has another name.
    let (path, version) = message["package_id"].as_str()?.rsplit_once('#')?;
    let package = match version.split_once('@') {
        Some((name, _)) => name,
        None => path.rsplit('/').next()?,
    };
    let name = message["target"]["name"].as_str()?;
    let kind = message["target"]["kind"][0].as_str()?;
    let target = match kind {
        "test" => name.to_owned(),
        "bin" => format!("bin {name}"),
        other => other.to_owned(),
    };
    Some(Program {
        package: package.to_owned(),
        target,
        integration: kind == "test",
        executable,
        folder,
    })
}

impl Program {
    /// What people call it: `storage (lib)`, `arxiv-operator outages`.
    pub(super) fn name(&self) -> String {
        let Self { package, target, .. } = self;
        if self.integration {
            format!("{package} {target}")
        } else {
            format!("{package} ({target})")
        }
    }

    /// The names of the tests that it would run with these arguments.
    pub(super) async fn tests(&self, arguments: &[String]) -> Result<Vec<String>> {
        let list = async |more: &[&str]| -> Result<Vec<String>> {
            let mut command = tokio::process::Command::new(&self.executable);
            let command = command
                .current_dir(&self.folder)
                .env(RUSTC_BOOTSTRAP, "1")
                .args(["--list", "--format", "terse"])
                .args(more)
                .args(arguments)
                .kill_on_drop(true);
            let output = command.output().await;
            let output = output.with_context(|| self.executable.display().to_string())?;
            if !output.status.success() {
                bail!(
                    "{} does not list its tests ({}): {}",
                    self.name(),
                    output.status,
                    String::from_utf8_lossy(&output.stderr).trim()
                );
            }
            Ok(libtest::names(&String::from_utf8_lossy(&output.stdout)))
        };
        let mut tests = list(&[]).await?;
        if !arguments.iter().any(|argument| argument.contains("ignored")) {
            let ignored = list(&["--ignored"]).await?;
            tests.retain(|test| !ignored.contains(test));
        }
        Ok(tests)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(package_id: &str, kind: &str, name: &str, test: bool) -> String {
        json!({
            "reason": "compiler-artifact",
            "package_id": package_id,
            "manifest_path": "/tree/crates/x/Cargo.toml",
            "target": {"kind": [kind], "name": name},
            "profile": {"test": test},
            "executable": "/tree/target/debug/deps/x-1",
        })
        .to_string()
    }

    #[test]
    fn programs_are_named_by_package_and_target() {
        let with_name = "path+file:///tree/api-server#arxiv-api-server@0.1.0";
        let cases = [
            (
                line("path+file:///tree/crates/storage#0.1.0", "lib", "storage", true),
                Some("storage (lib)"),
            ),
            (
                line(with_name, "test", "pages", true),
                Some("arxiv-api-server pages"),
            ),
            (
                line(with_name, "bin", "arxiv-api-server", true),
                Some("arxiv-api-server (bin arxiv-api-server)"),
            ),
            (line(with_name, "bin", "arxiv-api-server", false), None),
            (r#"{"reason":"build-finished","success":true}"#.into(), None),
            ("Compiling".into(), None),
        ];
        for (line, name) in cases {
            let program = program(&line);
            assert_eq!(program.as_ref().map(Program::name).as_deref(), name, "{line}");
            assert!(program.is_none_or(|program| program.folder == Path::new("/tree/crates/x")));
        }
    }
}
