//! Searches as Kubernetes objects, relative to what the API server of Kubernetes does alone: a bare client that creates objects
//! of the same content and writes the same statuses.

mod cost;
mod drain;
mod interval;
mod kubernetes;
mod start;
mod stored;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use testbed::postgres::Cache;
use testbed::stack::Options;
use testbed::tools::{packages, progress};
use testbed::{TempDir, TestEnv};

use self::kubernetes::Kubernetes;
pub use self::table::{json, table};

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

/// One figure, as often as it was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// The unit: `/s`, `ms`, …
    pub unit: &'static str,
    /// The values of all rounds.
    pub measured: Vec<f64>,
    /// The upper bound in the same rounds.
    pub bound: Vec<f64>,
    /// The least ratio to the bound; for a figure without one, the least (or the greatest) value.
    pub goal: Option<Goal>,
}

/// What a figure should reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Goal {
    /// At least this ratio to the bound.
    Ratio(f64),
    /// At least this value.
    AtLeast(f64),
    /// At most this value.
    AtMost(f64),
}

impl Figure {
    /// The median of all rounds as a ratio to that of the bound.
    pub fn ratio(&self) -> Option<f64> {
        Some(median(&self.measured)? / median(&self.bound)?)
    }

    /// Whether it reaches its goal.
    pub fn is_good(&self) -> bool {
        let value = median(&self.measured).unwrap_or(f64::NAN);
        match self.goal {
            None => true,
            Some(Goal::Ratio(least)) => self.ratio().is_some_and(|ratio| ratio >= least),
            Some(Goal::AtLeast(least)) => value >= least,
            Some(Goal::AtMost(most)) => value <= most,
        }
    }
}

/// The median; none of nothing.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

/// The system under test, and what is only for the benchmark.
struct Bench<'a> {
    settings: &'a Settings,
    env: TestEnv,
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
    if ["start", "cost", "stored", "drain"]
        .iter()
        .any(|part| wanted(part))
    {
        progress::print("bench: starting Postgres, Kubernetes, the operator and the API server");
        let bench = start(settings, Duration::ZERO).await?;
        if wanted("start") {
            figures.extend(start::measure(&bench).await?);
        }
        if wanted("cost") {
            figures.extend(cost::measure(&bench).await?);
        }
        if wanted("stored") {
            figures.extend(stored::measure(&bench).await?);
        }
        if wanted("drain") {
            figures.extend(drain::measure(&bench).await?);
        }
        bench.env.stack.stop().await?;
    }
    if wanted("interval") && settings.intervals > 0 {
        let bench = start(settings, interval::INTERVAL).await?;
        figures.extend(interval::measure(&bench).await?);
        bench.env.stack.stop().await?;
    }
    Ok(figures)
}

async fn start(settings: &Settings, min_interval: Duration) -> Result<Bench<'_>> {
    let variables = [
        // Log lines of requests would slow it down, and the operator alike.
        ("LOG_LEVEL", "WARN"),
        ("LEADER_ELECTION", "false"),
        // One address stands for many clients: each request names its own.
        ("TRUSTED_PROXIES", "127.0.0.0/8"),
        ("TRUSTED_PROXIES_HEADER", "x-forwarded-for"),
        ("ARXIV_MAX_PENDING", "100000"),
        ("ARXIV_MAX_PENDING_PER_CLIENT", "100000"),
        ("ARXIV_WAIT_MS", "29000"),
    ];
    let env = TestEnv::try_start(Options {
        own_control_plane: true,
        min_interval,
        cache: Cache::Production,
        binaries: Some(settings.binaries.clone()),
        environment: variables
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..Options::default()
    })
    .await?;
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
