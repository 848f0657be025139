//! `cargo xtask chaos`: a long run of faults on the running system.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use testbed::control_plane::Toolchain;

use crate::{cargo, output, planted};

/// Attacks the running system with faults by a seeded schedule, and checks every invariant afterwards.
///
/// Operators, API servers, Postgres and Kubernetes are killed, paused and restarted, connections are cut, arXiv answers
/// badly, objects are removed and made anew, while searches are asked for in every way. Ends with a line of figures;
/// fails, and names the seed and the file with the timeline, when anything was lost, doubled or impolite.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// For how long there are faults.
    #[arg(long, value_name = "N", default_value_t = 10)]
    minutes: u64,
    /// Decides which faults come in which order.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// The tables `queries` and `results` are on two servers.
    #[arg(long)]
    split: bool,
    /// Attacks copies of the project instead, each with a bug put in on purpose (crates/chaos/planted), for two minutes and
    /// up to four times; fails
    /// unless each is found.
    #[arg(long, conflicts_with_all = ["minutes", "split", "release", "binaries"])]
    planted: bool,
    /// Uses release builds.
    #[arg(long)]
    release: bool,
    /// Where the programs are; they are built unless given.
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
    /// Where the timeline goes.
    #[arg(long, value_name = "DIR", default_value = "target/chaos")]
    out: PathBuf,
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    testbed::postgres::ensure_installed()?;
    Toolchain::ready().await?;
    let folder = cargo::root().join(arguments.out);
    if arguments.planted {
        return planted::run(arguments.seed, &folder).await;
    }
    let binaries = match arguments.binaries {
        Some(folder) => folder,
        None => cargo::build_binaries(arguments.release)?,
    };
    let report = chaos::run(&chaos::Settings {
        seed: arguments.seed,
        length: Duration::from_mins(arguments.minutes),
        split: arguments.split,
        interval: chaos::Settings::INTERVAL,
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
