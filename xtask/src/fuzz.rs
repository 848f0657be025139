//! `cargo xtask fuzz`: arbitrary input for everything that reads input.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};

use crate::tool::Tool;
use crate::{cargo, corpus, output};

const FUZZ: Tool = Tool {
    name: "cargo-fuzz",
    version: "0.13.2",
    probe: "--version",
    build_time: "two minutes on two cores",
};
/// The longest input, in bytes.
const MAX_LENGTH: u32 = 16 * 1024;
/// An input that takes longer than this, in seconds, counts as a finding; so does one that takes more memory,
/// in MiB.
const MAX_SECONDS: u32 = 10;
const MAX_MEMORY: u32 = 2048;

/// Runs the fuzz targets: the parsers get generated inputs, which must not break their invariants (see
/// crates/fuzzing).
///
/// Each target starts with its kept corpus, the archive fuzz/corpus/TARGET.tar.gz. The command ends with a
/// line of figures for each target. It fails when an input breaks an invariant, and names the file of that
/// input. A nightly toolchain is used where one is installed (`rustup toolchain install nightly`), with its
/// address sanitizer; otherwise the project's own toolchain, without one.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// feed (Atom answers), search (queries to arXiv), request (requests to the API server); all by default.
    targets: Vec<String>,
    /// How long each target runs.
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,
    /// Adds the inputs that reached new code to the kept corpus.
    #[arg(long)]
    keep: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let all = targets()?;
    let unknown = arguments.targets.iter().find(|target| !all.contains(target));
    ensure!(
        unknown.is_none(),
        "there is no target {unknown:?}; there are {all:?}"
    );
    let chosen = if arguments.targets.is_empty() {
        &all
    } else {
        &arguments.targets
    };
    let fuzzer = Fuzzer::ready()?;
    let mut lines = Vec::new();
    let mut findings = 0;
    for target in chosen {
        let figures = fuzzer.run(target, arguments.seconds)?;
        findings += figures.findings.len();
        lines.push(figures.line(target));
        if arguments.keep && figures.findings.is_empty() {
            fuzzer.keep(target)?;
        }
    }
    for line in lines {
        output::result(&line);
    }
    Ok(if findings == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn targets() -> Result<Vec<String>> {
    let mut targets = Vec::new();
    for entry in fs::read_dir(cargo::root().join("fuzz/fuzz_targets"))? {
        let path = entry?.path();
        targets.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    targets.sort();
    Ok(targets)
}

/// `cargo fuzz` with a nightly toolchain, or else with the project's own.
struct Fuzzer {
    program: PathBuf,
    nightly: Option<String>,
}

impl Fuzzer {
    fn ready() -> Result<Self> {
        let nightly = nightly();
        match &nightly {
            Some(name) => output::progress(&format!("fuzzing with {name}")),
            None => output::progress(
                "no nightly toolchain (`rustup toolchain install nightly`): fuzzing with the project's own, \
                 without the address sanitizer",
            ),
        }
        let program = FUZZ.program()?;
        Ok(Self { program, nightly })
    }

    fn command(&self, target: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .current_dir(cargo::root())
            // The cargo that runs us is that of the project's toolchain.
            .env_remove("CARGO")
            .args(["run", "--target-dir", "target/fuzz"]);
        match &self.nightly {
            Some(name) => command.env("RUSTUP_TOOLCHAIN", name),
            None => command.env("RUSTC_BOOTSTRAP", "1").args(["--sanitizer", "none"]),
        };
        command.arg(target);
        command
    }

    /// The folder of inputs that earlier runs in this working tree found, in addition to the kept corpus.
    fn found(target: &str) -> String {
        format!("target/fuzz/corpus/{target}")
    }

    /// The folder that the kept corpus is unpacked into.
    fn kept(target: &str) -> String {
        format!("target/fuzz/kept/{target}")
    }

    /// The kept corpus.
    fn archive(target: &str) -> PathBuf {
        cargo::root().join(format!("fuzz/corpus/{target}.tar.gz"))
    }

    fn run(&self, target: &str, seconds: u64) -> Result<Figures> {
        let (found, kept) = (Self::found(target), Self::kept(target));
        fs::create_dir_all(cargo::root().join(&found))?;
        corpus::unpack(&Self::archive(target), &cargo::root().join(&kept))?;
        let mut running = self
            .command(target)
            .args([&found, &kept, "--"])
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-dict=fuzz/dictionaries/{target}.dict"))
            .arg(format!("-max_len={MAX_LENGTH}"))
            .arg(format!("-timeout={MAX_SECONDS}"))
            .arg(format!("-rss_limit_mb={MAX_MEMORY}"))
            .arg("-print_final_stats=1")
            .stderr(Stdio::piped())
            .spawn()
            .context("cargo-fuzz does not start")?;
        let mut figures = Figures::default();
        if let Some(lines) = running.stderr.take() {
            for line in BufReader::new(lines).split(b'\n') {
                let line = line?;
                let line = String::from_utf8_lossy(&line);
                output::progress(&line);
                figures.add(&line);
            }
        }
        let status = running.wait()?;
        ensure!(
            status.success() || !figures.findings.is_empty(),
            "{target} cannot be fuzzed: {status}"
        );
        Ok(figures)
    }

    /// Adds the inputs that extend the coverage of the kept corpus, and no others.
    fn keep(&self, target: &str) -> Result<()> {
        let (found, kept) = (Self::found(target), Self::kept(target));
        cargo::run(
            self.command(target)
                .args([&kept, &found, "--", "-merge=1"])
                .arg(format!("-max_len={MAX_LENGTH}")),
        )?;
        corpus::pack(&cargo::root().join(&kept), &Self::archive(target))
    }
}

/// The name of a nightly toolchain that is installed.
fn nightly() -> Option<String> {
    let listed = Command::new("rustup").args(["toolchain", "list"]).output().ok()?;
    let names = String::from_utf8(listed.stdout).ok()?;
    let name = names.lines().find(|name| name.starts_with("nightly"))?;
    name.split_whitespace().next().map(str::to_owned)
}

/// The figures that the fuzzer prints of one run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Figures {
    executions: u64,
    executions_a_second: u64,
    coverage: u64,
    findings: Vec<String>,
}

impl Figures {
    fn add(&mut self, line: &str) {
        let number = |text: &str| text.trim().parse().ok();
        if let Some(count) = line
            .strip_prefix("stat::number_of_executed_units:")
            .and_then(number)
        {
            self.executions = count;
        } else if let Some(count) = line.strip_prefix("stat::average_exec_per_sec:").and_then(number) {
            self.executions_a_second = count;
        } else if let Some((_, path)) = line.split_once("Test unit written to ") {
            self.findings.push(path.trim().to_owned());
        } else if let Some((_, after)) = line.split_once(" cov: ") {
            let count = after.split(' ').next().and_then(number);
            self.coverage = count.unwrap_or(self.coverage);
        }
    }

    fn line(&self, target: &str) -> String {
        let Self {
            executions,
            executions_a_second,
            coverage,
            findings,
        } = self;
        let found = if findings.is_empty() {
            "nothing found".to_owned()
        } else {
            format!("found {}", findings.join(", "))
        };
        format!(
            "{target}: {executions} executions ({executions_a_second}/s), {coverage} edges covered, {found}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read() {
        let mut figures = Figures::default();
        for line in [
            "INFO: seed corpus: files: 4",
            "#2\tINITED cov: 12 ft: 13 corp: 1/1b exec/s: 0 rss: 30Mb",
            "#4096\tDONE   cov: 345 ft: 900 corp: 30/1Kb exec/s: 512 rss: 40Mb",
            "stat::number_of_executed_units: 4096",
            "stat::average_exec_per_sec:     512",
            "artifact_prefix='x/'; Test unit written to fuzz/artifacts/feed/crash-1",
        ] {
            figures.add(line);
        }
        assert_eq!(
            figures.line("feed"),
            "feed: 4096 executions (512/s), 345 edges covered, found fuzz/artifacts/feed/crash-1"
        );
    }
}
