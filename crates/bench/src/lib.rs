//! How fast the API server is, beside its limit: the same SQL on the same pages by pgbench, in the same run, on the same cores.
//! Development only; `cargo xtask bench` runs it.
//!
//! The load comes from wrk, a program of a few threads that is not what is measured. Pages are drawn at random, so that
//! answers that several clients share do not count.

mod loads;
mod pgbench;
mod stage;
mod table;
mod wrk;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use testbed::{packages, progress};
use url::Url;

pub use loads::{LOADS, Load};
pub use table::table;

/// The most resident memory that the API server may take, in bytes.
const MOST_MEMORY: u64 = 40 << 20;

/// What is measured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Folder with the programs (release builds).
    pub binaries: PathBuf,
    /// How many rows there are in `results`; a tenth of it in `queries`.
    pub rows: u32,
    /// How long each load lasts.
    pub length: Duration,
    /// Connections of clients.
    pub connections: u32,
    /// Another server with the ten endpoints, to be measured beside.
    pub compare: Option<Url>,
    /// Loads whose names contain this; all when empty.
    pub only: String,
}

/// The figures of one load.
#[derive(Clone, Debug)]
pub struct Figures {
    /// The load.
    pub load: &'static Load,
    /// Of the API server.
    pub served: wrk::Measured,
    /// Transactions a second of pgbench with the same SQL, if there is any.
    pub limit: Option<f64>,
    /// Of the other server.
    pub compared: Option<wrk::Measured>,
    /// Largest resident memory of the API server so far, in bytes.
    pub memory: u64,
}

impl Figures {
    /// Whether nothing failed, and every figure is within its limit.
    pub fn is_good(&self) -> bool {
        let fast = match (self.limit, self.load.goal) {
            (Some(limit), Some(goal)) => self.served.rate >= limit * goal,
            _ => true,
        };
        let prompt = self.load.p99.is_none_or(|most| self.served.p99 <= most);
        fast && prompt && self.served.failed == 0 && self.memory <= MOST_MEMORY
    }
}

/// Runs every load.
pub async fn run(settings: &Settings) -> Result<Vec<Figures>> {
    tokio::task::spawn_blocking(|| {
        let takes = "a few seconds";
        packages::program(&["wrk"], &["wrk"], takes)?;
        packages::program(&["pgbench"], &["postgresql"], takes)
    })
    .await??;
    let stage = stage::Stage::set(settings).await?;
    let mut all = Vec::new();
    for load in LOADS.iter().filter(|load| load.name.contains(&settings.only)) {
        progress::say(&format!("bench: {}", load.name));
        let limit = match load.sql {
            Some(sql) => Some(pgbench::run(&stage, load, sql, settings).await?),
            None => None,
        };
        let served = wrk::run(&stage, stage.url(), load, settings).await?;
        let compared = match &settings.compare {
            Some(url) => Some(wrk::run(&stage, url, load, settings).await?),
            None => None,
        };
        let memory = stage.memory()?;
        all.push(Figures {
            load,
            served,
            limit,
            compared,
            memory,
        });
    }
    Ok(all)
}
