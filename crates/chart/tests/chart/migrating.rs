//! The releases of docs/migrating.md, by the commands that it shows.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use chart::{Objects, helm, read, root};
use serde_json::Value;

/// The page's commands with this prefix, each on one line.
fn commands(begin: &str) -> Vec<String> {
    let page = read("docs/migrating.md").unwrap().replace("\\\n", " ");
    page.lines()
        .filter(|line| line.starts_with(begin))
        .map(str::to_owned)
        .collect()
}

/// The release's name, and its objects.
fn rendered(command: &str) -> (String, Objects) {
    let words: Vec<&str> = command.split_whitespace().skip(2).collect();
    let output = Command::new(helm().unwrap())
        .current_dir(root())
        .arg("template")
        .args(&words)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {said}");
    let objects = Objects::read(&String::from_utf8(output.stdout).unwrap()).unwrap();
    (words[0].to_owned(), objects)
}

fn names(objects: &Objects) -> BTreeSet<String> {
    let name = |object: &Value| {
        let metadata = &object["metadata"];
        format!(
            "{} {}/{}",
            object["kind"], metadata["namespace"], metadata["name"]
        )
    };
    objects.iter().map(name).collect()
}

#[test]
fn releases_in_one_cluster_share_no_object() {
    let mut releases: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for command in ["helm install ", "helm upgrade "].map(commands).concat() {
        let (name, objects) = rendered(&command);
        releases.entry(name).or_default().extend(names(&objects));
    }
    let all: Vec<&BTreeSet<String>> = releases.values().collect();
    assert_eq!(all.len(), 2, "{:?}", releases.keys());
    // Helm refuses what belongs to another release.
    let both: Vec<&String> = all[0].intersection(all[1]).collect();
    assert!(both.is_empty(), "{both:?}");
}

#[test]
fn migration_commands_name_existing_deployments() {
    let (_, first) = rendered(&commands("helm install arxiv ")[0]);
    let (_, second) = rendered(&commands("helm install papers ")[0]);
    for (command, kind, objects) in [
        ("kubectl -n arxiv wait ", "Job", &second),
        ("kubectl -n arxiv scale ", "Deployment", &first),
    ] {
        let command = &commands(command)[0];
        let (_, selector) = command.split_once("--selector ").unwrap();
        let of_kind = objects.of(kind);
        assert!(!of_kind.is_empty());
        for object in of_kind {
            for part in selector.split(',') {
                let (label, value) = part.split_once('=').unwrap();
                assert_eq!(object["metadata"]["labels"][label], value, "{command}");
            }
        }
    }
    for deployment in second.of("Deployment") {
        assert_eq!(
            deployment["spec"]["replicas"], 0,
            "nobody works on what is not copied yet"
        );
    }
    for server in ["data", "sequence"] {
        second
            .get("Cluster", &format!("papers-arxiv-operator-{server}"))
            .unwrap();
    }
}
