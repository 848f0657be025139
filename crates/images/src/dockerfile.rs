//! The Dockerfile is compared, as text, with the shipped images, because no test builds it.

use std::collections::BTreeMap;

use crate::programs::{HOMES, SOURCE, STATIC, root};
use crate::shipped::{AUTHORITIES, group, passwd};
use crate::{Image, NON_ROOT, PROGRAMS, VERSION, image};

fn text(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap()
}

/// The Dockerfile's steps, each in one line, without comments.
fn steps() -> Vec<String> {
    let text = text("Dockerfile").replace("\\\n", " ");
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

/// The steps from `FROM … AS name` to the next `FROM`.
fn stage(name: &str) -> Vec<String> {
    let steps = steps();
    let start = steps
        .iter()
        .position(|step| step.starts_with("FROM ") && step.ends_with(&format!(" AS {name}")));
    let rest = steps.into_iter().skip(start.unwrap() + 1);
    rest.take_while(|step| !step.starts_with("FROM ")).collect()
}

/// The image that `cargo xtask images` would build of this program.
fn shipped(program: &str) -> Image {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(program), "").unwrap();
    image(program, folder.path()).unwrap()
}

#[test]
fn dockerfile_builds_programs_with_same_flags() {
    let toolchain = text("rust-toolchain.toml");
    let from = &steps()[0];
    let version = from
        .strip_prefix("FROM rust:")
        .and_then(|rest| rest.strip_suffix("-bookworm AS build"));
    assert!(
        toolchain.contains(&format!("channel = \"{}.", version.unwrap())),
        "{from}"
    );
    let build = stage("build");
    // Their paths in that image.
    let mut flags = vec![STATIC.to_owned()];
    flags.extend(HOMES.map(|(_, folder, shown)| {
        format!(
            "--remap-path-prefix=/usr/local/{}={shown}",
            folder.trim_start_matches('.')
        )
    }));
    flags.push(format!("--remap-path-prefix=/source={SOURCE}"));
    assert!(build.contains(&format!("ENV RUSTFLAGS=\"{}\"", flags.join(" "))));
    assert!(build.contains(&"WORKDIR /source".to_owned()));
    let run = build.iter().find(|step| step.starts_with("RUN ")).unwrap();
    let selected = PROGRAMS.map(|(package, _)| format!("-p {package}")).join(" ");
    let programs = PROGRAMS.map(|(_, program)| format!("--bin {program}")).join(" ");
    let cargo = format!("cargo build --release --locked --target \"$target\" {selected} {programs} ");
    assert!(run.contains(&cargo), "{run}");
    for (_, program) in PROGRAMS {
        assert!(run.contains(&format!("\"target/$target/release/{program}\"")));
    }
    let printed = |text: String| format!("printf '{}' >", text.replace('\n', "\\n"));
    assert!(run.contains(&printed(passwd())) && run.contains(&printed(group())));
}

#[test]
fn dockerfile_has_same_files_and_user() {
    let base = stage("base");
    for (_, program) in PROGRAMS {
        let Image {
            files,
            entrypoint,
            user,
            labels,
            reference,
        } = shipped(program);
        let own = stage(program);
        let mut paths: Vec<String> = Vec::new();
        for step in base.iter().chain(&own) {
            let Some(copied) = step.strip_prefix("COPY ") else {
                continue;
            };
            let mut words: Vec<&str> = copied.split(' ').filter(|word| !word.starts_with("--")).collect();
            let to = words.pop().unwrap();
            for from in words {
                // Into a folder with the same name, or to exactly that file.
                let name = from.rsplit('/').next().unwrap_or_default();
                paths.push(if to.ends_with('/') {
                    format!("{to}{name}")
                } else {
                    to.to_owned()
                });
            }
        }
        paths.sort();
        assert_eq!(paths, files.keys().map(String::as_str).collect::<Vec<_>>());
        assert!(paths.iter().any(|path| path == AUTHORITIES));

        assert!(base.contains(&format!("USER {NON_ROOT}:{NON_ROOT}")) && user == NON_ROOT);
        assert!(own.contains(&format!("ENTRYPOINT {}", serde_json::json!(entrypoint))));
        assert!(text("Dockerfile").contains(&format!(" -t {reference} .\n")));
        assert_eq!(reference, format!("{program}:{VERSION}"));

        let labelled = base
            .iter()
            .chain(&own)
            .filter_map(|step| step.strip_prefix("LABEL "));
        let labelled: BTreeMap<String, String> = labelled
            .flat_map(|labels| labels.split(' '))
            .filter_map(|label| label.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()))
            .collect();
        assert_eq!(labelled, labels);
    }
}
