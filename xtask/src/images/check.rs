//! Checks that a build of the same sources in another folder gives the same bytes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use testbed::TempDir;

use crate::{cargo, output, sources};

/// Builds from a copy of the sources, without anything built before, and compares the result with the files in `out`.
pub(super) fn rebuild_and_compare(out: &Path) -> Result<()> {
    let temp_dir = TempDir::new("images")?;
    let copy = temp_dir.path().join("a-folder-of-another-name");
    sources::copy_to(&copy)?;
    output::progress(&format!("== second build, in {}", copy.display()));
    let mut again = cargo::cargo();
    again
        .current_dir(&copy)
        // The copy has its own target folder.
        .env_remove("CARGO_TARGET_DIR")
        .args(["run", "--locked", "--package", "xtask", "--", "images"]);
    cargo::run(&mut again)?;
    let (first, second) = (digests(out)?, digests(&copy.join("target/images"))?);
    ensure!(!second.is_empty(), "nothing was built");
    for (file, digest) in &second {
        let before = first.get(file).map_or("nothing", String::as_str);
        ensure!(before == digest, "{file} differs: {before}, and then {digest}");
        output::result(&format!("{file}: twice {digest}"));
    }
    Ok(())
}

/// Digests of the archives and SBOMs.
fn digests(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut digests = BTreeMap::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.ends_with(".oci.tar") || name.ends_with(".cdx.json") {
            digests.insert(name, images::digest(&fs::read(&path)?));
        }
    }
    Ok(digests)
}
