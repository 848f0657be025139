//! `cargo xtask chaos`: a long run of faults on the running system.

pub(crate) mod planted;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use testbed::control_plane::Toolchain;

use crate::{cargo, output};

/// Causes faults on the running system by a seeded schedule, and checks every invariant afterwards.
///
/// Operators, API servers, Postgres and Kubernetes are killed, paused and restarted, connections are cut, arXiv returns
/// errors, and objects are deleted and created again, while clients run searches in every possible way. Ends with a line of
/// figures. Fails, and names the seed and the timeline file, when anything was lost, doubled or impolite, also of
/// feeds and of what their webhooks got.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How long there are faults.
    #[arg(long, value_name = "N", default_value_t = 10)]
    minutes: u64,
    /// Determines which faults come in which order.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Put the tables `queries` and `results` on two servers.
    #[arg(long)]
    split: bool,
    /// Run against copies of the project instead, each with a bug planted on purpose (crates/chaos/planted), for two minutes
    /// and up to four times. Fails unless each bug is found. With a value, only those with it in their names.
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    #[arg(conflicts_with_all = ["minutes", "split", "release", "binaries"])]
    planted: Option<String>,
    /// Use release builds.
    #[arg(long)]
    release: bool,
    /// The folder of the programs. They are built by default.
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
    /// The folder for the timeline.
    #[arg(long, value_name = "DIR", default_value = "target/chaos")]
    out: PathBuf,
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    testbed::postgres::ensure_installed()?;
    Toolchain::ready().await?;
    let folder = cargo::root().join(arguments.out);
    if let Some(names) = &arguments.planted {
        return planted::run(names, arguments.seed, &folder).await;
    }
    let binaries = match arguments.binaries {
        Some(folder) => folder,
        None => cargo::build_binaries(arguments.release)?,
    };
    let report = chaos::run(&chaos::Settings {
        seed: arguments.seed,
        length: Duration::from_mins(arguments.minutes),
        split: arguments.split,
        min_interval: chaos::Settings::DEFAULT_MIN_INTERVAL,
        environment: Vec::new(),
        binaries,
        folder,
    })
    .await?;
    for violation in &report.violations {
        output::result(&violation.to_string());
    }
    output::progress(&format!("timeline: {}", report.timeline.display()));
    let kinds: Vec<_> = report
        .faults
        .iter()
        .map(|(kind, count)| format!("{kind} {count}"))
        .collect();
    output::progress(&format!("faults: {}", kinds.join(", ")));
    output::result(&report.to_string());
    Ok(if report.passed() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
