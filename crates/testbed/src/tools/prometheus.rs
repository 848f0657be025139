//! Prometheus and promtool.

use std::path::PathBuf;

use anyhow::Result;

use super::GoTools;

const PROMETHEUS: GoTools = GoTools {
    name: "prometheus",
    build_time: "about four minutes",
    go_mod: include_str!("../../prometheus/go.mod"),
    go_sum: include_str!("../../prometheus/go.sum"),
    programs: &[("prometheus", "prometheus"), ("promtool", "promtool")],
    ..GoTools::DEFAULT
};

/// The path of the server, which is built on first use. Blocks.
pub(crate) fn prometheus() -> Result<PathBuf> {
    Ok(PROMETHEUS.ready()?.join("prometheus"))
}

/// The path of promtool, which is built on first use. Blocks.
pub fn promtool() -> Result<PathBuf> {
    Ok(PROMETHEUS.ready()?.join("promtool"))
}
