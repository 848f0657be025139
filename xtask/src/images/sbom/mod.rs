//! SBOMs (software bills of materials): the components of an image, in `CycloneDX` format.
//!
//! `cargo-cyclonedx` (0.5.9) is no replacement: it takes the union of features over all targets, so it names crates that are not
//! linked in; it writes a file into every package's folder; it has no version 1.6 of the format; and the components that are
//! not crates, most of this code, would still have to be merged into its output.

mod other_components;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::cargo;

/// Writes the SBOM of the image of a package's program: the crates that are linked into it, as Cargo.lock pins them, and the
/// other components.
///
/// It contains no time and no random serial number: the same sources and tools give the same bytes.
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
    let others = other_components::components(package, packages)?;
    let sbom = sbom(package, &linked(&tree), packages, others)?;
    fs::write(file, serde_json::to_string_pretty(&sbom)? + "\n")
        .with_context(|| format!("cannot write {}", file.display()))
}

/// Names and versions in the output of `cargo tree`.
fn linked(tree: &str) -> BTreeSet<(String, String)> {
    tree.lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (name, version) = (words.next()?, words.next()?);
            Some((name.to_owned(), version.strip_prefix('v')?.to_owned()))
        })
        .collect()
}

fn sbom(
    package: &str,
    linked: &BTreeSet<(String, String)>,
    packages: &[Value],
    others: Vec<Value>,
) -> Result<Value> {
    let mut subject = None;
    let mut components = Vec::new();
    for (name, version) in linked {
        let known = packages
            .iter()
            .find(|one| one["name"] == **name && one["version"] == **version);
        let known = known.with_context(|| format!("{name} {version} is not in the lock file"))?;
        let component = component(name, version, known);
        if name == package {
            subject = Some(component);
        } else {
            components.push(component);
        }
    }
    components.extend(others);
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": subject.with_context(|| format!("{package} is not a package"))?},
        "components": components,
    }))
}

fn component(name: &str, version: &str, known: &Value) -> Value {
    let url = format!("pkg:cargo/{name}@{version}");
    let mut component = json!({
        // Packages without a source are the project's own.
        "type": if known["source"].is_null() { "application" } else { "library" },
        "bom-ref": url,
        "name": name,
        "version": version,
        "purl": url,
    });
    if let Some(licence) = known["license"].as_str() {
        // Older crates write "A/B", from before SPDX had expressions.
        component["licenses"] = json!([{"expression": licence.replace('/', " OR ")}]);
    }
    component
}

fn output(arguments: &[&str]) -> Result<String> {
    let output = cargo::cargo().args(arguments).output()?;
    let message = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "cargo {}: {message}",
        arguments.join(" ")
    );
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sbom_has_only_linked_crates() {
        let tree = "thing v0.1.0 (/source/thing)\nitoa v1.0.15\nitoa v1.0.15 (*)\n";
        let packages = [
            json!({"name": "thing", "version": "0.1.0", "source": null, "license": "Apache-2.0"}),
            json!({"name": "itoa", "version": "1.0.15", "source": "registry", "license": "MIT/Apache-2.0"}),
            json!({"name": "itoa", "version": "0.4.8", "source": "registry", "license": "MIT"}),
            json!({"name": "built-with", "version": "2.0.0", "source": "registry", "license": "MIT"}),
        ];
        let others = vec![json!({"purl": "pkg:generic/glibc@2.36"})];
        let sbom = sbom("thing", &linked(tree), &packages, others).unwrap();
        assert_eq!(sbom["metadata"]["component"]["purl"], "pkg:cargo/thing@0.1.0");
        let names: Vec<&Value> = sbom["components"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| &one["purl"])
            .collect();
        assert_eq!(names, ["pkg:cargo/itoa@1.0.15", "pkg:generic/glibc@2.36"]);
        assert_eq!(
            sbom["components"][0]["licenses"][0]["expression"],
            "MIT OR Apache-2.0"
        );
        assert!(super::sbom("other", &linked(tree), &packages, Vec::new()).is_err());
    }

    #[test]
    fn sbom_of_each_image_names_its_components() {
        let folder = testbed::TempDir::new("sbom").unwrap();
        for (package, has_pages) in [("arxiv-operator", false), ("arxiv-api-server", true)] {
            let file = folder.path().join(package);
            write(package, &file).unwrap();
            let sbom: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
            let components = sbom["components"].as_array().unwrap();
            let named = |name: &str| components.iter().filter(|one| one["name"] == name).count();
            for name in ["tokio", "glibc", "libgcc", "rust-std", "webpki-root-certs"] {
                assert_eq!(named(name), 1, "{package}: {name}");
            }
            for name in ["swagger-ui-dist", "redoc", "katex"] {
                assert_eq!(named(name), usize::from(has_pages), "{package}: {name}");
            }
            let references: BTreeSet<&str> = components
                .iter()
                .filter_map(|one| one["bom-ref"].as_str())
                .collect();
            assert_eq!(
                references.len(),
                components.len(),
                "{package}: references are unique"
            );
        }
    }
}
