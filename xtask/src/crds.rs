//! The generated definitions in crds/.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::{cargo, output};

fn path(file: &str) -> PathBuf {
    cargo::root().join("crds").join(file)
}

/// Writes them from the Rust types.
pub(crate) fn write() -> Result<()> {
    for (file, definition) in crd::definitions() {
        let text = serde_saphyr::to_string(&serde_json::to_value(definition)?)?;
        fs::write(path(file), text)?;
        output::result(&format!("wrote {}", path(file).display()));
    }
    Ok(())
}

/// Fails when a committed definition differs from the types.
pub(crate) fn check() -> Result<()> {
    for (file, definition) in crd::definitions() {
        let committed = fs::read_to_string(path(file))
            .with_context(|| format!("crds/{file} is missing: `cargo xtask crds`"))?;
        let committed: serde_json::Value = serde_saphyr::from_str(&committed)?;
        if committed != serde_json::to_value(definition)? {
            bail!("crds/{file} differs from the types: run `cargo xtask crds` and commit it");
        }
    }
    Ok(())
}
