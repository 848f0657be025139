//! Faults on a running system by a seeded schedule, and the check of every invariant after it. Development only.
//!
//! The system is that of [`testbed::Stack`]: two operators, two API servers, Postgres with a replica, Kubernetes and the
//! stand-in arXiv, with a proxy on every way to a database. While searches are asked for in every way there is, faults of
//! several lanes meet: processes are killed, stopped and restarted, servers are, connections are cut, arXiv answers badly,
//! objects are removed and made anew. After quiet has returned, everything that stands is compared with what was asked
//! for and told.
//!
//! A seed decides which faults come and in which order; what they meet depends on the machine.

mod bed;
mod checks;
mod clients;
mod collect;
mod facts;
mod faults;
mod random;
mod report;
mod schedule;
mod servers;
mod timeline;
mod wishes;
mod workload;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use testbed::TempDir;

pub use checks::{Kind, Violation};
pub use report::Report;

use bed::Bed;
use schedule::{Lane, Shape};
use timeline::Timeline;

/// The programs of the system.
const PROGRAMS: [&str; 2] = ["arxiv-operator", "arxiv-api-server"];
/// In runs longer than this, some processes are paused for longer than a lease lasts.
const LONG_RUN: Duration = Duration::from_mins(2);

/// What is run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Decides the faults.
    pub seed: u64,
    /// For how long there are faults; recovery and checks come after it.
    pub length: Duration,
    /// `queries` and `results` are on two servers.
    pub split: bool,
    /// Least time between two requests to arXiv; small, so that many searches fit into a run.
    pub interval: Duration,
    /// Further settings of the processes.
    pub environment: Vec<(String, String)>,
    /// Where the programs are. They are copied first, so that a build meanwhile changes nothing.
    pub binaries: PathBuf,
    /// Where the timeline goes.
    pub folder: PathBuf,
}

impl Settings {
    /// [`Settings::interval`] when nothing else is asked for.
    pub const INTERVAL: Duration = Duration::from_millis(60);
}

/// Runs it all.
///
/// An error means that the run itself went wrong; what is broken stands in the report.
pub async fn run(settings: &Settings) -> Result<Report> {
    // An error means that a provider is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let Settings { seed, split, .. } = *settings;
    let binaries = copy_programs(&settings.binaries)?;
    fs::create_dir_all(&settings.folder)?;
    let kind = if split { "two-servers" } else { "one-server" };
    let name = format!("chaos-{kind}-{seed}");
    let timeline = Timeline::begin(settings.folder.join(format!("{name}.log")))?;
    let bed = Bed::start(binaries.path().to_owned(), settings, timeline).await?;
    let bed = Arc::new(bed);
    let logs = settings.folder.join(format!("{name}-logs"));
    let outcome = attack(&bed, settings).await;
    if !outcome.as_ref().is_ok_and(Report::passed) {
        keep_logs(&bed, &logs)?;
    }
    outcome.with_context(|| format!("seed {seed}; timeline {}", bed.timeline.path().display()))
}

async fn attack(bed: &Arc<Bed>, settings: &Settings) -> Result<Report> {
    let until = Instant::now() + settings.length;
    let shape = Shape {
        operators: bed.stack.operators.len(),
        services: bed.services().len(),
        split: settings.split,
        long_pauses: settings.length > LONG_RUN,
    };
    let watched = tokio::spawn({
        let bed = Arc::clone(bed);
        async move { tokio::join!(bed.watch(), bed.supervise()) }
    });
    let wishes = tokio::spawn(workload::run(Arc::clone(bed), settings.seed, until));
    let lanes = Lane::ALL.map(|lane| bed.run_lane(lane, settings.seed, shape, until));
    futures::future::try_join_all(lanes).await?;
    bed.recover().await?;
    wishes.await?;
    bed.quiet().await?;
    watched.abort();
    // It ends at its next step, and lets go of the bed.
    let _ = watched.await;
    let facts = bed.facts(settings).await?;
    let violations = checks::check(&facts);
    for violation in &violations {
        bed.timeline.say(&format!("broken: {violation}"));
    }
    let (faults, ended_by_itself) = {
        let notes = bed.notes();
        (notes.faults.clone(), notes.ended_by_itself)
    };
    let run = (settings.seed, bed.timeline.now(), bed.timeline.path().to_owned());
    let report = Report::new(run, &facts, violations, faults, ended_by_itself);
    bed.timeline.say(&format!("{:?}", report.faults));
    bed.timeline.say(&report.to_string());
    Ok(report)
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

/// The state of a run is removed at its end; its logs are needed to understand what is broken.
fn keep_logs(bed: &Bed, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for service in bed.services() {
        let from = service.child().log();
        if let Some(name) = from.file_name() {
            fs::copy(from, to.join(name))?;
        }
    }
    Ok(())
}
