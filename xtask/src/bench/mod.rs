//! `cargo xtask bench`: what is measured, beside its limits.

mod memory;

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use testbed::toolchain::Toolchain;

use crate::{cargo, output};

/// Measures the running system, and shows each figure beside its limit; fails when one is beyond.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many finished objects there are in etcd.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    objects: usize,
    /// Where the programs are; release builds are made unless given.
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    testbed::postgres::ensure_installed()?;
    Toolchain::ready().await?;
    let binaries = match arguments.binaries {
        Some(folder) => folder,
        None => cargo::build_binaries(true)?,
    };
    let figures = Box::pin(memory::measure(binaries, arguments.objects)).await?;
    output::result(&format!("{:<64} {:>10} {:>10}", "figure", "measured", "limit"));
    for figure in &figures {
        output::result(&figure.to_string());
    }
    Ok(if figures.iter().all(Figure::is_within) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Something measured.
struct Figure {
    what: String,
    measured: f64,
    /// The most it may be, if there is a limit.
    limit: Option<f64>,
    unit: &'static str,
}

impl Figure {
    fn is_within(&self) -> bool {
        self.limit.is_none_or(|limit| self.measured <= limit)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = self.unit;
        let limit = self
            .limit
            .map_or_else(String::new, |limit| format!("{limit:.1} {unit}"));
        let measured = format!("{:.1} {unit}", self.measured);
        let beyond = if self.is_within() { "" } else { "  BEYOND" };
        write!(f, "{:<64} {measured:>10} {limit:>10}{beyond}", self.what)
    }
}
