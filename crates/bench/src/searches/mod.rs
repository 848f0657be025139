//! Searches as Kubernetes objects, relative to what the API server of Kubernetes does alone: a bare client that creates objects
//! of the same content and writes the same statuses.

mod cost;
pub(crate) mod drain;
mod interval;
mod kubernetes;
mod start;
pub(crate) mod stored;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use testbed::arxiv::Behaviour;
use testbed::postgres::Cache;
use testbed::stack::Options;
use testbed::tools::{packages, progress};
use testbed::{TempDir, TestEnv};

use self::kubernetes::Kubernetes;
use crate::figures::Figure;

/// The numbers of clients, of which a rate is the best that is reached with one.
const CLIENTS: [u32; 5] = [16, 32, 64, 128, 256];

/// The settings of a run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Folder with the programs (release builds).
    pub binaries: PathBuf,
    /// How long each load lasts.
    pub length: Duration,
    /// How often each is measured, its bound with it.
    pub rounds: usize,
    /// How many objects wait when the operator starts.
    pub objects: usize,
    /// How many intervals between requests to arXiv are observed; none if 0.
    pub intervals: usize,
    /// Parts whose names contain this; all when empty.
    pub only: String,
}

/// The system under test, and what is only for the benchmark.
pub(crate) struct Bench<'a> {
    settings: &'a Settings,
    pub(crate) env: TestEnv,
    temp_dir: TempDir,
}

impl Bench<'_> {
    /// A file for wrk's script.
    fn script(&self) -> PathBuf {
        self.temp_dir.path().join("load.lua")
    }

    async fn kubernetes(&self) -> Result<Kubernetes> {
        Kubernetes::connect(&self.env, &self.script()).await
    }
}

/// Runs every part.
pub async fn run(settings: &Settings) -> Result<Vec<Figure>> {
    tokio::task::spawn_blocking(|| packages::program(&["wrk"], &["wrk"], "a few seconds")).await??;
    let mut figures = Vec::new();
    let wanted = |name: &str| name.contains(&settings.only);
    for round in 1..=settings.rounds {
        progress::print(&format!("bench: round {round} of {}", settings.rounds));
        // A new system each time: the API server of Kubernetes becomes slower with what it holds, and takes gigabytes.
        if wanted("start") {
            let bench = start(settings, Duration::ZERO, false).await?;
            add(&mut figures, start::measure(&bench).await?);
            bench.env.stack.stop().await?;
        }
        if wanted("cost") {
            add(&mut figures, cost::measure(settings).await?);
        }
        if wanted("stored") {
            add(&mut figures, stored::measure(settings).await?);
        }
        if wanted("drain") {
            add(&mut figures, drain::measure(settings).await?);
        }
    }
    if wanted("stored") {
        figures.push(stored::at_best(&figures));
    }
    if wanted("interval") && settings.intervals > 0 {
        let bench = start(settings, interval::INTERVAL, false).await?;
        figures.extend(interval::measure(&bench).await?);
        bench.env.stack.stop().await?;
    }
    Ok(figures)
}

/// Adds the figures of a round to those of the rounds before.
fn add(figures: &mut Vec<Figure>, of_round: Vec<Figure>) {
    for figure in of_round {
        let mut known = figures.iter_mut();
        match known.find(|known| known.name == figure.name) {
            Some(known) => {
                known.measured.extend(figure.measured);
                known.bound.extend(figure.bound);
            }
            None => figures.push(figure),
        }
    }
}

/// Starts the system; `cluster_wide`: the operator works in all namespaces.
pub(crate) async fn start(
    settings: &Settings,
    min_interval: Duration,
    cluster_wide: bool,
) -> Result<Bench<'_>> {
    let variables = [
        // Log lines of requests would slow it down, and the operator alike.
        ("LOG_LEVEL", "WARN"),
        ("LEADER_ELECTION", "false"),
        // As the chart sets it.
        ("MAX_CONCURRENT_RECONCILES", "64"),
        // One address stands for many clients: each request names its own.
        ("TRUSTED_PROXIES", "127.0.0.0/8"),
        ("TRUSTED_PROXIES_HEADER", "x-forwarded-for"),
        ("ARXIV_MAX_PENDING", "100000"),
        ("ARXIV_MAX_PENDING_PER_CLIENT", "100000"),
        ("ARXIV_WAIT_MS", "29000"),
    ];
    let env = Box::pin(TestEnv::try_start(Options {
        own_control_plane: true,
        cluster_wide,
        min_interval,
        cache: Cache::Production,
        binaries: Some(settings.binaries.clone()),
        environment: variables
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..Options::default()
    }))
    .await?;
    // As most papers of arXiv's are.
    let arxiv = env.stack.arxiv().context("no stand-in for arXiv")?;
    arxiv.set(Behaviour {
        plain: true,
        ..Behaviour::default()
    });
    Ok(Bench {
        settings,
        env,
        temp_dir: TempDir::new("bench")?,
    })
}

/// A Lua string with this text.
fn lua_string(text: &str) -> String {
    format!("[==[{text}]==]")
}
