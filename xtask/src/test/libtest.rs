//! What a test program writes: its tests, and how each of them ended.

use std::time::Duration;

/// What is known of one run of a program from its output.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Results {
    /// Tests that passed.
    pub(super) passed: u64,
    /// Tests that failed.
    pub(super) failed: u64,
    /// Names of the tests that failed.
    pub(super) failures: Vec<String>,
    /// Each test that ended, with the time it took where that is reported.
    pub(super) tests: Vec<(String, Option<Duration>)>,
    /// The program came to its end: it has written its sum.
    pub(super) complete: bool,
}

impl Results {
    /// Reads the output of a program, or of `cargo test --doc`, which runs several.
    pub(super) fn parse(output: &str) -> Self {
        let mut results = Self::default();
        let (mut passed, mut failed) = (0, 0);
        for line in output.lines() {
            if let Some(sum) = line.strip_prefix("test result: ") {
                results.complete = true;
                results.passed += count(sum, "passed");
                results.failed += count(sum, "failed");
                (passed, failed) = (0, 0);
            } else if let Some((name, end)) = line
                .strip_prefix("test ")
                .and_then(|test| test.rsplit_once(" ... "))
            {
                // `ok <1.204s>`, where times are reported.
                let (word, time) = end.split_once(" <").unwrap_or((end, ""));
                match word {
                    "ok" => passed += 1,
                    "FAILED" => {
                        failed += 1;
                        results.failures.push(name.to_owned());
                    }
                    _ => continue,
                }
                let name = name.strip_suffix(" - should panic").unwrap_or(name);
                let seconds = time.strip_suffix("s>").and_then(|time| time.parse().ok());
                let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                results.tests.push((name.to_owned(), time));
            }
        }
        // What has no sum was interrupted: its lines count.
        if passed + failed > 0 {
            results.complete = false;
        }
        results.passed += passed;
        results.failed += failed;
        results
    }
}

/// The number before a word in `ok. 4 passed; 0 failed; 0 ignored; …`.
fn count(sum: &str, word: &str) -> u64 {
    let counts = sum.split_once(". ").map_or("", |(_, counts)| counts);
    let number = counts
        .split("; ")
        .find_map(|count| count.strip_suffix(word)?.trim_end().parse().ok());
    number.unwrap_or(0)
}

/// The names that a program gives with `--list --format terse`, `gate::one: test` for example.
pub(super) fn names(listed: &str) -> Vec<String> {
    let lines = listed.lines().filter_map(|line| line.strip_suffix(": test"));
    lines.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::type_complexity, reason = "a table")]
    fn results_are_read_from_complete_and_from_interrupted_output() {
        let ms = |ms| Some(Duration::from_millis(ms));
        // What; output; passed, failed; failures; number of tests with a time; complete.
        let cases: &[(&str, &str, [u64; 2], &[&str], usize, bool)] = &[
            (
                "a sum",
                "running 3 tests\ntest a::b ... ok <1.204s>\ntest c ... ignored\ntest d ... FAILED <0.001s>\n\n\
                 test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 2.18s\n",
                [1, 1],
                &["d"],
                2,
                true,
            ),
            (
                "several programs, as of doc tests",
                "test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 5.61s\n\
                 test a::passed ... ok\n\
                 test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 2.18s\n",
                [7, 0],
                &[],
                0,
                true,
            ),
            (
                "killed",
                "test a ... ok <0.100s>\ntest b ... FAILED <0.200s>\ntest c has been running for over 60 seconds\n",
                [1, 1],
                &["b"],
                2,
                false,
            ),
            ("nothing", "thread panicked", [0, 0], &[], 0, false),
            (
                "a test of one thread that writes",
                "test a ... hello\nok\ntest result: ok. 1 passed; 0 failed; 0 ignored\n",
                [1, 0],
                &[],
                0,
                true,
            ),
        ];
        for (what, output, [passed, failed], failures, timed, complete) in cases {
            let results = Results::parse(output);
            assert_eq!((results.passed, results.failed), (*passed, *failed), "{what}");
            assert_eq!(results.failures, *failures, "{what}");
            let with_time = results.tests.iter().filter(|(_, time)| time.is_some());
            assert_eq!(with_time.count(), *timed, "{what}");
            assert_eq!(results.complete, *complete, "{what}");
        }
        let results = Results::parse("test a::b - should panic ... ok <1.204s>");
        assert_eq!(
            results.tests,
            [("a::b".to_owned(), ms(1204))],
            "the name as it is listed"
        );
    }

    #[test]
    fn listed_names_are_those_of_tests() {
        assert_eq!(names("a::b: test\nc: test\nd: benchmark\n\n"), ["a::b", "c"]);
    }
}
