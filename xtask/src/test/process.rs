//! One unit as a process: its start, its end, its output.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use testbed::process::{Child, Spec};

use super::libtest::Results;
use super::units::{RUSTC_BOOTSTRAP, Unit, Work};
use crate::cargo;

/// What all units are started with.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    /// Where output goes, one file for each unit.
    pub(super) logs: PathBuf,
    /// Arguments for cargo, for documentation tests.
    pub(super) cargo: Vec<String>,
    /// Arguments for test programs.
    pub(super) program: Vec<String>,
    /// The environment variable with the control plane that all share, where there is one.
    pub(super) control_plane: Option<(&'static str, PathBuf)>,
    /// This program, as it was built with all others.
    pub(super) xtask: PathBuf,
    /// A unit that takes longer hangs, and is killed.
    pub(super) limit: Duration,
}

/// Tests that change what belongs to the whole cluster: admission policies and foreign definitions.
const WITH_OWN_CLUSTER: [&str; 1] = ["chart"];

/// A unit that runs.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) unit: Unit,
    pub(super) began: Instant,
    child: Child,
    limit: Duration,
}

/// A unit that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) unit: Unit,
    pub(super) took: Duration,
    pub(super) results: Results,
    /// What went wrong, besides tests that failed.
    pub(super) problem: Option<String>,
    /// All that it wrote.
    pub(super) output: String,
}

impl Ended {
    /// The end of a unit that had no beginning.
    pub(super) fn not_started(unit: Unit, error: &anyhow::Error) -> Self {
        Self {
            unit,
            took: Duration::ZERO,
            results: Results {
                failed: 1,
                ..Results::default()
            },
            problem: Some(format!("it cannot be started: {error:#}")),
            output: String::new(),
        }
    }
}

impl Running {
    /// Starts it.
    pub(super) fn start(unit: Unit, setup: &Setup) -> Result<Self> {
        let log = setup.logs.join(file_name(&unit.name));
        fs::write(&log, "").with_context(|| log.display().to_string())?;
        let child = Child::spawn(spec(&unit, setup, &log))?;
        // What took long the last time may take long again.
        let limit = setup.limit.max(unit.estimate * 3);
        Ok(Self {
            unit,
            began: Instant::now(),
            child,
            limit,
        })
    }

    /// The unit's end, if it has come; one that hangs is killed.
    #[expect(clippy::result_large_err, reason = "the process itself, not an error")]
    pub(super) fn ended(self) -> std::result::Result<Ended, Self> {
        if let Some(status) = self.child.ended() {
            return Ok(self.end(Some(status)));
        }
        if self.began.elapsed() > self.limit {
            return Ok(self.kill());
        }
        Err(self)
    }

    /// Kills it and what it has started.
    pub(super) fn kill(self) -> Ended {
        self.child.kill9_group();
        self.end(None)
    }

    fn end(self, status: Option<ExitStatus>) -> Ended {
        let took = self.began.elapsed();
        let output = fs::read(self.child.log()).unwrap_or_default();
        let output = String::from_utf8_lossy(&output).into_owned();
        let (results, problem) = judge(&self.unit.work, status, took, &output);
        Ended {
            unit: self.unit,
            took,
            results,
            problem,
            output,
        }
    }
}

fn spec(unit: &Unit, setup: &Setup, log: &Path) -> Spec {
    match &unit.work {
        Work::Tests {
            program,
            tests,
            exact,
        } => {
            let mut spec = Spec::new(&program.executable, log)
                .current_dir(&program.folder)
                .envs(std::env::vars_os())
                .env("CARGO_MANIFEST_DIR", &program.folder)
                .env("CARGO_PKG_NAME", &program.package)
                .env(RUSTC_BOOTSTRAP, "1")
                .args(["-Zunstable-options", "--report-time"])
                .args(&setup.program);
            if *exact {
                spec = spec.arg("--exact").args(tests);
            }
            match &setup.control_plane {
                Some((name, folder)) if !WITH_OWN_CLUSTER.contains(&program.package.as_str()) => {
                    spec.env(*name, folder)
                }
                _ => spec,
            }
        }
        Work::Doc => Spec::new(cargo::cargo().get_program(), log)
            .current_dir(cargo::root())
            .envs(
                std::env::vars_os()
                    .filter(|(name, _)| !cargo::variables_of_package().any(|own| own == *name)),
            )
            .args(["test", "--doc", "--no-fail-fast"])
            .args(&setup.cargo)
            .arg("--")
            .args(&setup.program),
        // Not by cargo, which would build this program once more: for itself alone it takes fewer features of what it depends on.
        Work::Node => Spec::new(&setup.xtask, log)
            .current_dir(cargo::root())
            .envs(std::env::vars_os())
            .args(["e2e", "--short", "--dev"]),
    }
}

/// What a unit's end and its output mean. `status`: nothing for one that was killed.
fn judge(work: &Work, status: Option<ExitStatus>, took: Duration, output: &str) -> (Results, Option<String>) {
    let success = status.is_some_and(|status| status.success());
    let how = match status {
        Some(status) => format!("it ended by itself: {status}"),
        None => format!("it was killed after {:.0} s", took.as_secs_f64()),
    };
    if matches!(work, Work::Node) {
        let results = Results {
            passed: u64::from(success),
            failed: u64::from(!success),
            complete: true,
            ..Results::default()
        };
        return (results, (!success).then_some(how));
    }
    let mut results = Results::parse(output);
    let finished = results.complete || matches!(work, Work::Doc) || listed(output);
    if success && finished || status.is_some() && results.failed > 0 && finished {
        return (results, None);
    }
    let mut problem = how;
    if let Work::Tests { tests, .. } = work {
        let open = tests
            .iter()
            .filter(|test| !results.tests.iter().any(|(ended, _)| ended == *test));
        let open: Vec<&str> = open.map(String::as_str).collect();
        if !open.is_empty() {
            problem = format!("{problem}; without a result: {}", open.join(", "));
        }
    }
    results.failed += 1;
    (results, Some(problem))
}

/// With `--list` there are no results.
fn listed(output: &str) -> bool {
    let last = output.lines().next_back().unwrap_or_default();
    last.contains(" tests, ") || last.contains(" test, ")
}

/// A name for the file with a unit's output.
fn file_name(unit: &str) -> String {
    let plain = unit.chars().map(|letter| {
        if letter.is_ascii_alphanumeric() {
            letter
        } else {
            '-'
        }
    });
    format!("{}.log", plain.collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;
    use crate::test::programs::Program;

    #[test]
    fn every_end_has_a_result() {
        let tests = || Work::Tests {
            program: Program {
                package: "p".into(),
                target: "t".into(),
                integration: true,
                executable: "/p".into(),
                folder: "/".into(),
            },
            tests: vec!["a".into(), "b".into()],
            exact: false,
        };
        let (ok, failed, killed) = (0, 101 << 8, 9);
        let both =
            "test a ... ok <1.0s>\ntest b ... ok <1.0s>\ntest result: ok. 2 passed; 0 failed; 0 ignored\n";
        let one = "test a ... ok <1.0s>\ntest b ... FAILED <1.0s>\ntest result: FAILED. 1 passed; 1 failed; 0 ignored\n";
        let open = "test a ... ok <1.0s>\n";
        // What; work; status; output; passed and failed; the problem has this text.
        let cases = [
            ("all passed", tests(), Some(ok), both, [2, 0], ""),
            ("one failed", tests(), Some(failed), one, [1, 1], ""),
            (
                "it failed after its tests",
                tests(),
                Some(failed),
                both,
                [2, 1],
                "exit status: 101",
            ),
            (
                "it crashed",
                tests(),
                Some(killed),
                open,
                [1, 1],
                "without a result: b",
            ),
            (
                "it left early",
                tests(),
                Some(ok),
                open,
                [1, 1],
                "without a result: b",
            ),
            (
                "it hung",
                tests(),
                None,
                open,
                [1, 1],
                "killed after 60 s; without a result: b",
            ),
            (
                "it listed",
                tests(),
                Some(ok),
                "a: test\n\n1 test, 0 benchmarks\n",
                [0, 0],
                "",
            ),
            ("no documentation tests", Work::Doc, Some(ok), "", [0, 0], ""),
            (
                "documentation that does not compile",
                Work::Doc,
                Some(failed),
                "",
                [0, 1],
                "101",
            ),
            ("a node", Work::Node, Some(ok), "all steps passed", [1, 0], ""),
            (
                "a node that fails",
                Work::Node,
                Some(256),
                "",
                [0, 1],
                "exit status: 1",
            ),
            (
                "a node that hangs",
                Work::Node,
                None,
                "",
                [0, 1],
                "killed after 60 s",
            ),
        ];
        for (what, work, status, output, [passed, failed], text) in cases {
            let status = status.map(ExitStatus::from_raw);
            let (results, problem) = judge(&work, status, Duration::from_mins(1), output);
            assert_eq!((results.passed, results.failed), (passed, failed), "{what}");
            assert_eq!(problem.is_some(), !text.is_empty(), "{what}: {problem:?}");
            assert!(problem.unwrap_or_default().contains(text), "{what}");
        }
    }
}
