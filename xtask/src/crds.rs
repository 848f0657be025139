//! The generated definitions in crds/.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::{cargo, output};

fn file() -> PathBuf {
    cargo::root().join("crds/arxivqueries.yaml")
}

/// Writes them from the Rust types.
pub(crate) fn write() -> Result<()> {
    let definition = serde_json::to_value(crd::custom_resource_definition())?;
    let text = serde_saphyr::to_string(&definition)?;
    fs::write(file(), text)?;
    output::result(&format!("wrote {}", file().display()));
    Ok(())
}

/// Fails when the committed definition differs from the types.
pub(crate) fn check() -> Result<()> {
    let committed =
        fs::read_to_string(file()).context("crds/arxivqueries.yaml is missing: `cargo xtask crds`")?;
    let committed: serde_json::Value = serde_saphyr::from_str(&committed)?;
    if committed != serde_json::to_value(crd::custom_resource_definition())? {
        bail!("crds/arxivqueries.yaml differs from the types: run `cargo xtask crds` and commit it");
    }
    Ok(())
}
