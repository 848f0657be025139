//! What is shown of ended units.

use std::fmt::Write;
use std::time::Duration;

use super::process::Ended;
use super::units::Work;

/// How many of the slowest tests are shown.
const SLOWEST: usize = 10;

/// `[ 3/40  1:05] ok      storage (lib): 12 passed (0.2 s)`.
pub(super) fn line(ended: &Ended, number: usize, total: usize, elapsed: Duration) -> String {
    let results = &ended.results;
    let word = if results.failed == 0 { "ok    " } else { "FAILED" };
    let mut line = format!(
        "[{number:>3}/{total} {:>6}] {word} {}: {} passed",
        clock(elapsed),
        ended.unit.name,
        results.passed
    );
    if results.failed > 0 {
        let _ = write!(line, ", {} failed", results.failed);
    }
    let _ = write!(line, " ({:.1} s)", ended.took.as_secs_f64());
    for failure in results.failures.iter().chain(&ended.problem) {
        let _ = write!(line, "\n    {failure}");
    }
    line
}

/// All output of those that failed.
pub(super) fn failures(ended: &[Ended]) -> String {
    let mut text = String::new();
    for ended in ended.iter().filter(|ended| ended.results.failed > 0) {
        let _ = writeln!(text, "\n==== {} FAILED, its output:", ended.unit.name);
        let _ = writeln!(text, "{}", ended.output.trim_end());
        if let Some(problem) = &ended.problem {
            let _ = writeln!(text, "==== {problem}");
        }
    }
    text
}

/// Every test whose time is known, under its full name.
pub(super) fn times(ended: &[Ended]) -> Vec<(String, Duration)> {
    let mut times = Vec::new();
    for ended in ended {
        match &ended.unit.work {
            Work::Tests { program, .. } => {
                let name = program.name();
                for (test, time) in &ended.results.tests {
                    times.extend(time.map(|time| (format!("{name} {test}"), time)));
                }
            }
            Work::Doc | Work::Node => times.push((ended.unit.name.clone(), ended.took)),
        }
    }
    times
}

/// The slowest tests, with their times.
pub(super) fn slowest(mut times: Vec<(String, Duration)>) -> String {
    times.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
    times.truncate(SLOWEST);
    let mut text = String::from("the slowest tests:\n");
    for (name, time) in times {
        let _ = writeln!(text, "{:>8.1} s  {name}", time.as_secs_f64());
    }
    text
}

/// Minutes and seconds.
pub(super) fn clock(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::libtest::Results;
    use crate::test::programs::Program;
    use crate::test::units::Unit;

    fn ended(failures: &[&str], problem: Option<&str>) -> Ended {
        let program = Program {
            package: "storage".into(),
            target: "storage".into(),
            integration: true,
            executable: "/p".into(),
            folder: "/".into(),
        };
        Ended {
            unit: Unit {
                name: "storage storage: gate".into(),
                work: Work::Tests {
                    program,
                    tests: vec!["gate::a".into()],
                    exact: true,
                },
                estimate: Duration::ZERO,
                timed: false,
            },
            took: Duration::from_millis(65_432),
            results: Results {
                passed: 1,
                failed: u64::try_from(failures.len()).unwrap() + u64::from(problem.is_some()),
                failures: failures.iter().map(|&name| name.to_owned()).collect(),
                tests: vec![("gate::a".into(), Some(Duration::from_secs(2)))],
                complete: true,
            },
            problem: problem.map(str::to_owned),
            output: "written\n".into(),
        }
    }

    #[test]
    fn a_line_names_what_failed() {
        let cases = [
            (
                ended(&[], None),
                "[  3/40   1:05] ok     storage storage: gate: 1 passed (65.4 s)",
            ),
            (
                ended(&["gate::b"], None),
                "[  3/40   1:05] FAILED storage storage: gate: 1 passed, 1 failed (65.4 s)\n    gate::b",
            ),
            (
                ended(&[], Some("it was killed")),
                "[  3/40   1:05] FAILED storage storage: gate: 1 passed, 1 failed (65.4 s)\n    it was killed",
            ),
        ];
        for (ended, expected) in cases {
            assert_eq!(line(&ended, 3, 40, Duration::from_secs(65)), expected);
        }
    }

    #[test]
    fn only_failures_are_shown_with_their_output() {
        let text = failures(&[ended(&[], None), ended(&[], Some("it was killed"))]);
        assert_eq!(
            text,
            "\n==== storage storage: gate FAILED, its output:\nwritten\n==== it was killed\n"
        );
    }

    #[test]
    fn the_slowest_tests_come_first_and_are_few() {
        let times = (0..20).map(|n| (format!("test {n}"), Duration::from_secs(n)));
        let text = slowest(times.collect());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 1 + SLOWEST);
        assert_eq!(lines[1], "    19.0 s  test 19");
        assert_eq!(
            super::times(&[ended(&[], None)]),
            [("storage storage gate::a".to_owned(), Duration::from_secs(2))]
        );
    }
}
