//! The chart, as a PNG.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use testbed::tools::packages;

const REQUIREMENTS: &str = include_str!("requirements.txt");
const PROGRAM: &str = include_str!("chart.py");

/// Draws the series of a JSON file. Blocks.
pub fn draw(series: &Path, chart: &Path) -> Result<()> {
    let python = packages::python("python-matplotlib", REQUIREMENTS)?.join("python");
    let output = Command::new(python)
        .arg("-c")
        .arg(PROGRAM)
        .args([series, chart])
        .output()
        .context("Python cannot be run")?;
    ensure!(
        output.status.success(),
        "no chart: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
