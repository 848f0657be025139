//! Renders `charts/arxiv-operator` with helm, for the tests of the chart. For development only.
//!
//! What is generated inside the chart (the values' table of its README, the copy of the resource definition) is written by
//! `CHART_UPDATE=1 cargo test -p chart generated`, and checked by the same test without the variable.

mod container;
mod flows;
mod helm;
mod objects;
pub mod readme;
pub mod schemas;

use std::path::{Path, PathBuf};

pub use container::{Container, operator, pods};
pub use flows::{Flow, allowed_flows, flows_below};
pub use helm::{NAMESPACE, RELEASE, helm, helm3, refusal, render, render_by, render_chart};
pub use objects::Objects;

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The chart's folder.
pub fn folder() -> PathBuf {
    root().join("charts/arxiv-operator")
}

/// A file of the repository as text.
pub fn read(path: &str) -> anyhow::Result<String> {
    use anyhow::Context;
    std::fs::read_to_string(root().join(path)).with_context(|| path.to_owned())
}
