//! What is run as one process: a test program, or a part of the tests of a large one.
//!
//! Not one process for each test, as cargo-nextest runs them: many tests share a server with the other tests of their module
//! (a Postgres with a database for each test, a cluster that has been prepared), which each process would have to start again.

use std::collections::BTreeMap;
use std::time::Duration;

use super::programs::Program;
use super::times::Times;

/// With this set, the test library of a stable compiler reports the time of each test. Only test programs get it.
pub(super) const RUSTC_BOOTSTRAP: &str = "RUSTC_BOOTSTRAP";
/// A program whose tests take longer, one after the other, is run in parts of about this length.
const PART: Duration = Duration::from_mins(1);
/// What an integration test is taken to need before it was ever run.
const FIRST_GUESS: Duration = Duration::from_secs(5);
/// Words in the names of tests whose limits of time are so short that they need a machine with some CPU time left: they
/// measure how long a request waits for its turn, or how soon another process or server takes over.
const TIMED: [&str; 6] = ["chaos", "failover", "gate", "leadership", "politeness", "turns"];

/// One process.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    /// For people, and for the remembered times.
    pub(super) name: String,
    pub(super) work: Work,
    /// How long it is expected to take.
    pub(super) estimate: Duration,
    /// Needs CPU time that others leave: few others run at the same time.
    pub(super) timed: bool,
}

/// What the process is.
#[derive(Clone, Debug)]
pub(super) enum Work {
    /// Tests of a program. `exact`: these and no others of it.
    Tests {
        program: Program,
        tests: Vec<String>,
        exact: bool,
    },
    /// `cargo test --doc`.
    Doc,
    /// The chart on a real node: `cargo xtask e2e --short --dev`.
    Node,
}

impl Unit {
    /// The units of one program's tests.
    pub(super) fn of_program(program: &Program, tests: &[String], times: &Times, whole: bool) -> Vec<Self> {
        let name = program.name();
        let full = |test: &String| format!("{name} {test}");
        let guess = if program.integration {
            FIRST_GUESS
        } else {
            Duration::from_millis(20)
        };
        let tests: Vec<(String, Duration)> = tests
            .iter()
            .map(|test| (test.clone(), times.of(&full(test)).unwrap_or(guess)))
            .collect();
        let is_timed = |test: &String| TIMED.iter().any(|word| full(test).contains(word));
        let (urgent, usual): (Vec<_>, Vec<_>) = tests.into_iter().partition(|(test, _)| is_timed(test));
        let length = |tests: &[(String, Duration)]| tests.iter().map(|(_, time)| *time).sum::<Duration>();
        let in_parts = !whole && program.integration;
        let mut units = Vec::new();
        for (tests, timed) in [(urgent, true), (usual, false)] {
            let parts = if in_parts && length(&tests) > PART {
                parts(tests)
            } else {
                vec![tests]
            };
            units.extend(parts.into_iter().filter(|part| !part.is_empty()).map(|part| {
                // Two at a time in each process.
                let longest = part.iter().map(|(_, time)| *time).max();
                let estimate = (length(&part) / 2).max(longest.unwrap_or_default());
                let tests: Vec<String> = part.into_iter().map(|(test, _)| test).collect();
                (tests, timed, estimate)
            }));
        }
        let exact = units.len() > 1;
        let names: Vec<String> = if exact {
            units
                .iter()
                .map(|(tests, ..)| format!("{name}: {}", modules(tests)))
                .collect()
        } else {
            vec![name]
        };
        let pairs = names.into_iter().zip(units);
        pairs
            .map(|(name, (tests, timed, estimate))| Self {
                name,
                work: Work::Tests {
                    program: program.clone(),
                    tests,
                    exact,
                },
                estimate,
                timed,
            })
            .collect()
    }

    /// The order in which units are started: those that need some peace, while there is other work to fill the gaps that they
    /// leave; then the longest first, so that none of them is left at the end; then the node, which runs alone.
    pub(super) fn sort(units: &mut [Self]) {
        units.sort_by(|one, other| {
            let rank = |unit: &Self| (!matches!(unit.work, Work::Node), unit.timed, unit.estimate);
            rank(other)
                .cmp(&rank(one))
                .then_with(|| one.name.cmp(&other.name))
        });
    }
}

/// The module of a test: tests of one module may share a server, and stay together.
fn module(test: &str) -> &str {
    test.rsplit_once("::").map_or(test, |(module, _)| module)
}

/// Divides tests into parts of about the same length, module by module, the longest first.
fn parts(tests: Vec<(String, Duration)>) -> Vec<Vec<(String, Duration)>> {
    let mut modules: BTreeMap<String, (Duration, Vec<(String, Duration)>)> = BTreeMap::new();
    let mut sum = Duration::ZERO;
    for (test, time) in tests {
        let (length, tests) = modules.entry(module(&test).to_owned()).or_default();
        *length += time;
        sum += time;
        tests.push((test, time));
    }
    let mut modules: Vec<_> = modules.into_values().collect();
    modules.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
    let wanted = usize::try_from(sum.as_millis().div_ceil(PART.as_millis())).unwrap_or(1);
    let count = wanted.clamp(1, modules.len().max(1));
    let mut parts = vec![(Duration::ZERO, Vec::new()); count];
    for (length, tests) in modules {
        if let Some((taken, part)) = parts.iter_mut().min_by_key(|(taken, _)| *taken) {
            *taken += length;
            part.extend(tests);
        }
    }
    parts.into_iter().map(|(_, part)| part).collect()
}

/// The modules of these tests, in words.
fn modules(tests: &[String]) -> String {
    const SHOWN: usize = 3;
    let mut modules: Vec<&str> = tests.iter().map(|test| module(test)).collect();
    modules.dedup();
    match modules.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{} and {more} more", modules[..SHOWN].join(", ")),
        _ => modules.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(integration: bool) -> Program {
        Program {
            package: "p".into(),
            target: if integration { "it" } else { "lib" }.into(),
            integration,
            executable: "/p".into(),
            folder: "/".into(),
        }
    }

    #[test]
    #[expect(clippy::type_complexity, reason = "a table")]
    fn large_programs_run_in_parts_and_timed_tests_apart() {
        // What; integration; whole; tests with the seconds they took; names of the units, with `!` where they are timed.
        let cases: &[(&str, bool, bool, &[(&str, u64)], &[&str])] = &[
            ("nothing to run", true, false, &[], &[]),
            ("a short one", true, false, &[("a::x", 9), ("b::y", 9)], &["p it"]),
            (
                "a long one, whose modules stay together",
                true,
                false,
                &[("a::x", 40), ("a::y", 40), ("b::x", 50), ("c::x", 40)],
                &["p it: a", "p it: b", "p it: c"],
            ),
            (
                "as selected",
                true,
                true,
                &[("a::x", 90), ("b::x", 90)],
                &["p it"],
            ),
            (
                "unit tests",
                false,
                false,
                &[("a::x", 90), ("b::x", 90)],
                &["p (lib)"],
            ),
            (
                "timed tests",
                true,
                false,
                &[("gate::x", 1), ("a::x", 1)],
                &["!p it: gate", "p it: a"],
            ),
            ("timed tests alone", true, false, &[("gate::x", 1)], &["!p it"]),
            (
                "many modules",
                true,
                false,
                &[("a::x", 1), ("b::x", 1), ("c::x", 1), ("d::x", 1), ("gate::x", 1)],
                &["!p it: gate", "p it: a, b, c and 1 more"],
            ),
        ];
        for (what, integration, whole, tests, expected) in cases {
            let program = program(*integration);
            let mut times = Times::default();
            for (test, seconds) in *tests {
                times.set(
                    format!("{} {test}", program.name()),
                    Duration::from_secs(*seconds),
                );
            }
            let names: Vec<String> = tests.iter().map(|(test, _)| (*test).to_owned()).collect();
            let units = Unit::of_program(&program, &names, &times, *whole);
            let found: Vec<String> = units
                .iter()
                .map(|unit| format!("{}{}", if unit.timed { "!" } else { "" }, unit.name))
                .collect();
            assert_eq!(found, *expected, "{what}");
            let mut run: Vec<String> = units
                .iter()
                .flat_map(|unit| match &unit.work {
                    Work::Tests { tests, .. } => tests.clone(),
                    _ => Vec::new(),
                })
                .collect();
            run.sort();
            let mut all = names;
            all.sort();
            assert_eq!(run, all, "{what}: each test once");
        }
    }

    #[test]
    fn timed_units_come_first_and_then_the_longest() {
        let unit = |name: &str, seconds, timed| Unit {
            name: name.into(),
            work: Work::Doc,
            estimate: Duration::from_secs(seconds),
            timed,
        };
        let mut units = [
            unit("short", 1, false),
            unit("long", 9, false),
            unit("timed", 2, true),
            unit("also long", 9, false),
            unit("timed and long", 5, true),
        ];
        Unit::sort(&mut units);
        let names = units.each_ref().map(|unit| unit.name.as_str());
        assert_eq!(names, ["timed and long", "timed", "also long", "long", "short"]);
    }

    #[test]
    fn tests_without_remembered_times_are_guessed() {
        let names = ["a::x".to_owned(), "a::y".to_owned()];
        let of = |integration| {
            let units = Unit::of_program(&program(integration), &names, &Times::default(), false);
            units[0].estimate
        };
        assert_eq!(of(true), FIRST_GUESS);
        assert!(of(false) < Duration::from_secs(1));
    }
}
