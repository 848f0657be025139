//! Which of the arguments are for cargo, and which for the test programs.

/// Options of `cargo test` whose value is the next argument.
const WITH_VALUE: [&str; 19] = [
    "-p",
    "--package",
    "--exclude",
    "--test",
    "--bin",
    "--example",
    "--bench",
    "-F",
    "--features",
    "-j",
    "--jobs",
    "--profile",
    "--target",
    "--target-dir",
    "--manifest-path",
    "--color",
    "--config",
    "-Z",
    "--lockfile-path",
];
/// Options that name what is built, without documentation tests.
const TARGETS: [&str; 9] = [
    "--lib",
    "--bin",
    "--bins",
    "--test",
    "--tests",
    "--example",
    "--examples",
    "--bench",
    "--benches",
];
/// Options of a test program with which its output is the result.
const SHOWING: [&str; 4] = ["--nocapture", "--no-capture", "--show-output", "--list"];

/// What is built and run.
#[derive(Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub(super) struct Selection {
    /// For cargo: packages, targets, features.
    pub(super) cargo: Vec<String>,
    /// For each test program: filters and options.
    pub(super) program: Vec<String>,
    /// The test programs are built.
    pub(super) builds: bool,
    /// The test programs are run.
    pub(super) programs: bool,
    /// The documentation tests are run.
    pub(super) doc: bool,
    /// The output of programs is shown, whether or not they fail.
    pub(super) shows_output: bool,
    /// No argument at all: everything is run, the node too.
    pub(super) everything: bool,
}

impl Selection {
    /// Takes what `cargo test` takes, `-p storage` or `-- --nocapture gate` for example.
    pub(super) fn parse(arguments: &[String]) -> Self {
        let end = arguments.iter().position(|argument| argument == "--");
        let (before, after) = arguments.split_at(end.unwrap_or(arguments.len()));
        let after = after.get(1..).unwrap_or_default();
        let mut selection = Self {
            builds: true,
            programs: true,
            doc: true,
            shows_output: after.iter().any(|argument| SHOWING.contains(&argument.as_str())),
            everything: arguments.is_empty(),
            ..Self::default()
        };
        let mut names_package = false;
        let mut rest = before.iter();
        while let Some(argument) = rest.next() {
            let name = argument.split('=').next().unwrap_or_default();
            let short_with_value = name.starts_with("-p") && !name.starts_with("--");
            match name {
                // Every program is run in any case.
                "--no-fail-fast" => continue,
                "--doc" => {
                    selection.builds = false;
                    selection.programs = false;
                    continue;
                }
                "--no-run" => {
                    selection.programs = false;
                    selection.doc = false;
                    continue;
                }
                // cargo takes one filter before `--`, and hands it on.
                _ if !argument.starts_with('-') => {
                    selection.program.push(argument.clone());
                    continue;
                }
                _ => {}
            }
            names_package |= short_with_value || ["--package", "--workspace", "--all"].contains(&name);
            if TARGETS.contains(&name) {
                selection.doc = false;
            }
            selection.cargo.push(argument.clone());
            if WITH_VALUE.contains(&argument.as_str()) {
                selection.cargo.extend(rest.next().cloned());
            }
        }
        if !names_package {
            selection.cargo.insert(0, "--workspace".into());
        }
        selection.program.extend_from_slice(after);
        selection
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_divided_between_cargo_and_the_programs() {
        // Arguments; cargo's; the programs'; programs, doc, output, everything.
        let cases: &[(&str, &str, &str, [u8; 4])] = &[
            ("", "--workspace", "", [1, 1, 0, 1]),
            ("-p storage", "-p storage", "", [1, 1, 0, 0]),
            ("-pstorage gate", "-pstorage", "gate", [1, 1, 0, 0]),
            ("--package=storage", "--package=storage", "", [1, 1, 0, 0]),
            (
                "-- --nocapture gate",
                "--workspace",
                "--nocapture gate",
                [1, 1, 1, 0],
            ),
            (
                "-p storage --test storage ids -- --skip gate",
                "-p storage --test storage",
                "ids --skip gate",
                [1, 0, 0, 0],
            ),
            ("--lib --no-fail-fast", "--workspace --lib", "", [1, 0, 0, 0]),
            ("--doc -p crd", "-p crd", "", [0, 1, 0, 0]),
            ("--no-run", "--workspace", "", [0, 0, 0, 0]),
            (
                "--workspace --features x --release",
                "--workspace --features x --release",
                "",
                [1, 1, 0, 0],
            ),
        ];
        for (given, cargo, program, [programs, doc, output, everything]) in cases {
            let words = |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
            let expected = Selection {
                cargo: words(cargo),
                program: words(program),
                builds: !given.contains("--doc"),
                programs: *programs == 1,
                doc: *doc == 1,
                shows_output: *output == 1,
                everything: *everything == 1,
            };
            assert_eq!(Selection::parse(&words(given)), expected, "{given}");
        }
    }
}
