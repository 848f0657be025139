//! The commands of the documentation, run as a reader would run them, against the whole system.
//!
//! Which pages are run here, which commands are run by another test, and which are not run at all is the table
//! "Commands in the documentation" in docs/testing.md; this file holds it to all pages.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use testbed::{Stack, stack::Options};

/// A command of a page, with the output that the page shows below it.
#[derive(Debug, PartialEq)]
struct Command {
    text: String,
    shown: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// The commands in a page's blocks of code: of `sh` blocks every line, of others those behind a `$`.
fn commands(page: &str) -> Vec<Command> {
    let mut commands: Vec<Command> = Vec::new();
    let mut block: Option<&str> = None;
    let mut continued = false;
    // Of a block in a list.
    let mut indent = 0;
    for line in page.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            indent = line.len() - line.trim_start().len();
            block = match block {
                None => Some(language),
                Some(_) => None,
            };
            continued = false;
            continue;
        }
        let Some(language) = block else { continue };
        let line = line.get(indent..).unwrap_or_default();
        let is_shell = language == "sh";
        let start = match line.strip_prefix("$ ") {
            Some(text) => Some(text),
            None if is_shell && !line.trim().is_empty() && !line.starts_with(' ') && line != "done" => {
                Some(line)
            }
            None => None,
        };
        if continued {
            let command = commands.last_mut().unwrap();
            let _ = write!(command.text, "\n{line}");
        } else if let Some(text) = start {
            commands.push(Command {
                text: text.to_owned(),
                shown: Vec::new(),
            });
        } else if is_shell {
            // The inside of a loop.
            if let Some(command) = commands.last_mut() {
                let _ = write!(command.text, "\n{line}");
            }
        } else if let Some(command) = commands.last_mut().filter(|_| language == "console") {
            command.shown.push(line.to_owned());
        }
        continued = line.ends_with('\\');
    }
    commands
}

/// The rows of a table: the first two cells of each.
fn rows<'p>(page: &'p str, heading: &str) -> Vec<(&'p str, &'p str)> {
    let (_, section) = page.split_once(heading).unwrap();
    section
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|row| {
            let mut cells = row.trim_matches('|').split(" | ").map(str::trim);
            (cells.next().unwrap(), cells.next().unwrap())
        })
        .collect()
}

fn pages() -> Vec<PathBuf> {
    let mut pages = vec![root().join("README.md"), root().join("CONTRIBUTING.md")];
    for folder in ["docs", "charts/arxiv-operator", "examples"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages
}

#[test]
fn each_command_is_in_the_table_of_commands() {
    let testing = fs::read_to_string(root().join("docs/testing.md")).unwrap();
    let table = rows(&testing, "## Commands in the documentation");
    let mut missing = Vec::new();
    for page in pages() {
        let name = page.strip_prefix(root()).unwrap().display().to_string();
        for command in commands(&fs::read_to_string(&page).unwrap()) {
            let is_listed = table.iter().any(|(pattern, _)| {
                let (page, begin) = pattern
                    .split_once(": ")
                    .unwrap_or((pattern.trim_end_matches(':'), ""));
                page == name && command.text.starts_with(begin.trim_matches('`'))
            });
            if !is_listed {
                missing.push(format!("{name}: {}", command.text));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "not in docs/testing.md:\n{}",
        missing.join("\n")
    );
    for (pattern, run_by) in table {
        let file = run_by.trim_matches('`');
        assert!(
            file.starts_with("not run") || root().join(file).exists(),
            "{pattern}: there is no {file}"
        );
    }
}

/// The commands that the table says are run by this file.
fn to_run(page: &str) -> Vec<Command> {
    let testing = fs::read_to_string(root().join("docs/testing.md")).unwrap();
    let table = rows(&testing, "## Commands in the documentation");
    let begins: Vec<_> = table
        .iter()
        .filter(|(_, run_by)| *run_by == "`crates/testbed/tests/testbed/documentation.rs`")
        .filter_map(|(pattern, _)| pattern.split_once(": "))
        .filter(|(name, _)| *name == page)
        .map(|(_, begin)| begin.trim_matches('`'))
        .collect();
    let text = fs::read_to_string(root().join(page)).unwrap();
    let mut found = commands(&text);
    found.retain(|command| begins.iter().any(|begin| command.text.starts_with(begin)));
    found
}

/// The first block of YAML in a page.
fn manifest(page: &str) -> String {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let (_, rest) = text.split_once("```yaml\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// The pages with commands that are run here.
const PAGES: [&str; 5] = [
    "README.md",
    "docs/errors.md",
    "docs/failover.md",
    "docs/api.md",
    "docs/migrating.md",
];

/// Where the API is, on these pages.
const HOSTS: [&str; 4] = [
    "http://localhost:8000",
    "http://127.0.0.1:8000",
    "http://127.0.0.1:8001",
    "http://127.0.0.1:8002",
];

#[tokio::test]
async fn commands_of_the_pages_succeed_with_the_output_shown() {
    let stack = Stack::start(Options::default()).await.unwrap();
    let folder = testbed::TempDir::new("documentation").unwrap();
    let plane = stack.control_plane();
    fs::write(folder.path().join("knuth.yaml"), manifest("README.md")).unwrap();
    fs::copy(plane.admin_kubeconfig(), folder.path().join("kubeconfig")).unwrap();
    let api = stack.api_url().unwrap().to_string();
    let api = api.trim_end_matches('/');
    let begin = format!(
        "set -eu; kubectl() {{ '{}' \"$@\"; }}\ncurl() {{ command curl --silent --show-error \"$@\"; }}\n",
        plane.kubectl().display()
    );
    let run = async |text: &str| {
        // The existing service, and the processes next to it, are this one.
        let text = HOSTS
            .iter()
            .fold(text.to_owned(), |text, host| text.replace(host, api));
        let script = format!("{begin}{text}");
        let output = tokio::process::Command::new("bash")
            .args(["-c", &script])
            .current_dir(folder.path())
            .env("API", api)
            .env("KUBECONFIG", folder.path().join("kubeconfig"))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(Duration::from_mins(2), output).await;
        let output = output
            .unwrap_or_else(|_| panic!("{text}: takes too long"))
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && !errors.contains("curl: ("),
            "{text}: {errors}"
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let namespace = format!(
        "kubectl config set-context --current --namespace '{}'",
        stack.namespace()
    );
    run(&namespace).await;
    let mut count = 0;
    for page in PAGES {
        for command in to_run(page) {
            let output = run(&command.text).await;
            if command.text.contains("echo same:") {
                let same = output.lines().filter(|line| line.starts_with("same: /")).count();
                assert_eq!(same, command.text.matches("'/").count(), "{output}");
            }
            // What has digits, or is shortened, differs from run to run.
            let stable = |line: &&String| !line.contains(|c: char| c.is_ascii_digit() || c == '…');
            for line in command.shown.iter().filter(stable) {
                let columns: Vec<_> = line.split_whitespace().collect();
                let found = output
                    .lines()
                    .any(|line| line.split_whitespace().collect::<Vec<_>>() == columns);
                assert!(found, "{}: {line:?} is not in {output:?}", command.text);
            }
            count += 1;
        }
    }
    assert!(count >= 9, "{count} commands");
    let bibliography = fs::read_to_string(folder.path().join("graphs.bib")).unwrap();
    assert!(
        bibliography.is_empty() || bibliography.starts_with('@'),
        "{bibliography}"
    );
}

#[test]
fn commands_are_found_with_their_output() {
    let page = "```console\n$ a b \\\n  c\nout\n$ d\n```\n```sh\ne   # f\nfor x in y; do\n  g\ndone\n```\n```\n$ h\nother\n```\n";
    let command = |text: &str, shown: &[&str]| Command {
        text: text.to_owned(),
        shown: shown.iter().map(|&line| line.to_owned()).collect(),
    };
    assert_eq!(
        commands(page),
        [
            command("a b \\\n  c", &["out"]),
            command("d", &[]),
            command("e   # f", &[]),
            command("for x in y; do\n  g\ndone", &[]),
            command("h", &[]),
        ]
    );
}
