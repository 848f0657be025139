//! Chaos testing: faults on a running system by a seeded schedule, and a check of every invariant afterwards. For
//! development only.
//!
//! The system is a [`testbed::Stack`]: two operators, two API servers, Postgres with a replica, Kubernetes and the
//! fake arXiv, with a proxy on every connection to a database. While clients run searches in every possible way, several
//! streams of faults run at the same time: processes and servers are killed, paused and restarted, connections are cut,
//! arXiv returns errors, objects are deleted and created again. After the faults the final state is compared with the
//! requests and with the responses.
//!
//! A seed determines which faults come in which order. Their effects depend on the machine.

mod checks;
mod collect;
mod faults;
mod feeds;
mod harness;
mod history;
mod random;
mod report;
mod timeline;
mod workload;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use testbed::TempDir;
use testbed::tools::progress;

pub use checks::{Kind, Violation};
pub use report::Report;

use faults::{FaultStream, Topology};
use feeds::Feeds;
use harness::Harness;
use timeline::Timeline;

/// The programs of the system.
const PROGRAMS: [&str; 2] = ["arxiv-operator", "arxiv-api-server"];
const MINUTE: Duration = Duration::from_mins(1);
/// In runs longer than this, some processes are paused for longer than the leader's lease.
const LONG_RUN: Duration = Duration::from_mins(2);

/// The settings of a run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Determines the faults.
    pub seed: u64,
    /// How long there are faults. Recovery and checks come afterwards.
    pub length: Duration,
    /// The tables `queries` and `results` are on two servers.
    pub split: bool,
    /// Minimum time between two requests to arXiv; small, so that many searches fit into a run.
    pub min_interval: Duration,
    /// Further environment variables of the processes.
    pub environment: Vec<(String, String)>,
    /// The folder of the programs. They are copied first, so that a build during the run changes nothing.
    pub binaries: PathBuf,
    /// The folder for the timeline.
    pub folder: PathBuf,
}

impl Settings {
    /// The default of [`Settings::min_interval`].
    pub const DEFAULT_MIN_INTERVAL: Duration = Duration::from_millis(60);
}

/// Runs the load and the faults, and checks the invariants.
///
/// An error means that the run itself failed. Violated invariants are in the report.
pub async fn run(settings: &Settings) -> Result<Report> {
    // An error means that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let Settings { seed, split, .. } = *settings;
    let binaries = copy_programs(&settings.binaries)?;
    fs::create_dir_all(&settings.folder)?;
    let kind = if split { "two-servers" } else { "one-server" };
    let name = format!("chaos-{kind}-{seed}");
    let timeline = Timeline::begin(settings.folder.join(format!("{name}.log")))?;
    let harness = Harness::start(binaries.path().to_owned(), settings, timeline).await?;
    let harness = Arc::new(harness);
    let logs = settings.folder.join(format!("{name}-logs"));
    let outcome = attack(&harness, settings).await;
    if !outcome.as_ref().is_ok_and(Report::passed) {
        keep_logs(&harness, &logs)?;
    }
    outcome.with_context(|| format!("seed {seed}; timeline {}", harness.timeline.path().display()))
}

async fn attack(harness: &Arc<Harness>, settings: &Settings) -> Result<Report> {
    let feeds = Feeds::begin(harness, settings).await?;
    let until = Instant::now() + settings.length;
    let topology = Topology {
        operators: harness.env.stack.operators.len(),
        services: harness.services().len(),
        split: settings.split,
        long_pauses: settings.length > LONG_RUN,
    };
    let watched = tokio::spawn({
        let harness = Arc::clone(harness);
        let length = settings.length;
        async move {
            tokio::join!(
                harness.watch(),
                harness.supervise(),
                report_progress(&harness, length)
            )
        }
    });
    let operations = tokio::spawn(workload::run(Arc::clone(harness), settings.seed, until));
    let feeds = tokio::spawn(feeds.run(until));
    let streams = FaultStream::ALL.map(|stream| harness.run_stream(stream, settings.seed, topology, until));
    futures::future::try_join_all(streams).await?;
    progress::print("chaos: no more faults; waiting until every query has ended");
    harness.recover().await?;
    operations.await?;
    let mut feeds = feeds.await?;
    feeds.settle().await;
    harness.until_finished().await?;
    watched.abort();
    // It ends at its next step, and releases the harness.
    let _ = watched.await;
    progress::print("chaos: checking the invariants");
    let mut history = harness.collect_history(settings).await?;
    feeds.add_to(&mut history).await?;
    let violations = checks::check(&history);
    for violation in &violations {
        harness.timeline.log(&format!("violation: {violation}"));
    }
    let (faults, ended_by_itself) = {
        let observations = harness.observations();
        (observations.faults.clone(), observations.ended_by_itself)
    };
    let run = (
        settings.seed,
        harness.timeline.now(),
        harness.timeline.path().to_owned(),
    );
    let report = Report::new(run, &history, violations, faults, ended_by_itself);
    harness.timeline.log(&format!("{:?}", report.faults));
    harness.timeline.log(&report.to_string());
    Ok(report)
}

/// Prints each minute how far the run is.
async fn report_progress(harness: &Harness, length: Duration) {
    let minutes = length.as_secs() / MINUTE.as_secs();
    for minute in 1..=minutes {
        tokio::time::sleep(MINUTE).await;
        let faults: u64 = harness.observations().faults.values().sum();
        progress::print(&format!("chaos: {minute} of {minutes} minutes, {faults} faults"));
    }
}

fn copy_programs(from: &Path) -> Result<TempDir> {
    let folder = TempDir::new("chaos-programs")?;
    for program in PROGRAMS {
        let from = from.join(program);
        fs::copy(&from, folder.path().join(program))
            .with_context(|| format!("{} is not built", from.display()))?;
    }
    Ok(folder)
}

/// Keeps the logs of a failed run: its other state is removed at the end.
fn keep_logs(harness: &Harness, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for service in harness.services() {
        let from = service.child().log();
        if let Some(name) = from.file_name() {
            fs::copy(from, to.join(name))?;
        }
    }
    Ok(())
}
