//! Bills of materials: what an image is made of, in `CycloneDX`'s form.

mod beside;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::cargo;

/// Writes the bill of the image of a package's program: the crates that are linked into it, as Cargo.lock pins them, and what
/// goes in beside these.
///
/// No time and no random serial number goes in: the same sources and tools give the same bytes.
pub(crate) fn write(package: &str, file: &Path) -> Result<()> {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let tree = output(&[
        "tree",
        "--locked",
        "--package",
        package,
        "--target",
        &target,
        "--edges",
        "normal,no-proc-macro",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ])?;
    let metadata: Value = serde_json::from_str(&output(&["metadata", "--locked", "--format-version", "1"])?)?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    let beside = beside::components(package, packages)?;
    let bill = bill(package, &linked(&tree), packages, beside)?;
    fs::write(file, serde_json::to_string_pretty(&bill)? + "\n")
        .with_context(|| format!("cannot write {}", file.display()))
}

/// Names and versions in what `cargo tree` says.
fn linked(tree: &str) -> BTreeSet<(String, String)> {
    tree.lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (name, version) = (words.next()?, words.next()?);
            Some((name.to_owned(), version.strip_prefix('v')?.to_owned()))
        })
        .collect()
}

fn bill(
    package: &str,
    linked: &BTreeSet<(String, String)>,
    packages: &[Value],
    beside: Vec<Value>,
) -> Result<Value> {
    let mut subject = None;
    let mut components = Vec::new();
    for (name, version) in linked {
        let known = packages
            .iter()
            .find(|one| one["name"] == **name && one["version"] == **version);
        let known = known.with_context(|| format!("{name} {version} is in no lock file"))?;
        let component = component(name, version, known);
        if name == package {
            subject = Some(component);
        } else {
            components.push(component);
        }
    }
    components.extend(beside);
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": subject.with_context(|| format!("{package} is no package"))?},
        "components": components,
    }))
}

fn component(name: &str, version: &str, known: &Value) -> Value {
    let url = format!("pkg:cargo/{name}@{version}");
    let mut component = json!({
        // What comes from nowhere is ours.
        "type": if known["source"].is_null() { "application" } else { "library" },
        "bom-ref": url,
        "name": name,
        "version": version,
        "purl": url,
    });
    if let Some(licence) = known["license"].as_str() {
        // Before SPDX had expressions, crates wrote "A/B".
        component["licenses"] = json!([{"expression": licence.replace('/', " OR ")}]);
    }
    component
}

fn output(arguments: &[&str]) -> Result<String> {
    let output = cargo::cargo().args(arguments).output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo {}: {told}", arguments.join(" "));
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bill_has_what_is_linked_and_nothing_else() {
        let tree = "thing v0.1.0 (/source/thing)\nitoa v1.0.15\nitoa v1.0.15 (*)\n";
        let packages = [
            json!({"name": "thing", "version": "0.1.0", "source": null, "license": "Apache-2.0"}),
            json!({"name": "itoa", "version": "1.0.15", "source": "registry", "license": "MIT/Apache-2.0"}),
            json!({"name": "itoa", "version": "0.4.8", "source": "registry", "license": "MIT"}),
            json!({"name": "built-with", "version": "2.0.0", "source": "registry", "license": "MIT"}),
        ];
        let beside = vec![json!({"purl": "pkg:generic/glibc@2.36"})];
        let bill = bill("thing", &linked(tree), &packages, beside).unwrap();
        assert_eq!(bill["metadata"]["component"]["purl"], "pkg:cargo/thing@0.1.0");
        let names: Vec<&Value> = bill["components"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| &one["purl"])
            .collect();
        assert_eq!(names, ["pkg:cargo/itoa@1.0.15", "pkg:generic/glibc@2.36"]);
        assert_eq!(
            bill["components"][0]["licenses"][0]["expression"],
            "MIT OR Apache-2.0"
        );
        assert!(super::bill("other", &linked(tree), &packages, Vec::new()).is_err());
    }

    #[test]
    fn the_bill_of_each_image_names_what_goes_into_it() {
        let folder = testbed::TempDir::new("bills").unwrap();
        for (package, has_pages) in [("arxiv-operator", false), ("arxiv-api-server", true)] {
            let file = folder.path().join(package);
            write(package, &file).unwrap();
            let bill: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
            let components = bill["components"].as_array().unwrap();
            let named = |name: &str| components.iter().filter(|one| one["name"] == name).count();
            for name in ["tokio", "glibc", "libgcc", "rust-std", "webpki-root-certs"] {
                assert_eq!(named(name), 1, "{package}: {name}");
            }
            for name in ["swagger-ui-dist", "redoc"] {
                assert_eq!(named(name), usize::from(has_pages), "{package}: {name}");
            }
            let references: BTreeSet<&str> = components
                .iter()
                .filter_map(|one| one["bom-ref"].as_str())
                .collect();
            assert_eq!(
                references.len(),
                components.len(),
                "{package}: each has a name of its own"
            );
        }
    }
}
