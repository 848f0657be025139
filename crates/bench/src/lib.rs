//! How fast the API server is, beside its limit: the same SQL on the same pages by pgbench, in the same run, on the same cores.
//! Development only; `cargo xtask bench` runs it.
//!
//! The load comes from wrk, a program of a few threads that is not what is measured. Pages are drawn at random, and answers that
//! several clients share do not count.

mod loads;
mod pgbench;
mod server;
mod stage;
mod table;
mod wrk;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use testbed::{packages, progress};
use url::Url;

pub use loads::{Asked, LOADS, Load};
pub use table::table;

/// The most resident memory that the API server may take, in bytes.
const MOST_MEMORY: u64 = 40 << 20;
/// Before each load.
const WARM_UP: Duration = Duration::from_secs(2);

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
    /// Answers a second that needed no read of their own.
    pub shared: f64,
    /// Transactions a second of pgbench with the same SQL, if there is any.
    pub limit: Option<f64>,
    /// Of the other server.
    pub compared: Option<wrk::Measured>,
    /// Largest resident memory of the API server that was asked so far, in bytes.
    pub memory: u64,
}

impl Figures {
    /// Whether nothing failed, and every figure is within its limit.
    pub fn is_good(&self) -> bool {
        let fast = match (self.limit, self.load.goal) {
            (Some(limit), Some(goal)) => self.served.rate - self.shared >= limit * goal,
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
        let asked = stage.server(load.asked);
        // Connections to the database are made here, as pgbench's are before it measures.
        wrk::run(&stage, asked.url(), load, WARM_UP, settings).await?;
        let before = asked.shared().await?;
        let served = wrk::run(&stage, asked.url(), load, settings.length, settings).await?;
        let shared = (asked.shared().await? - before) / served.seconds;
        let compared = match &settings.compare {
            Some(url) => {
                wrk::run(&stage, url, load, WARM_UP, settings).await?;
                Some(wrk::run(&stage, url, load, settings.length, settings).await?)
            }
            None => None,
        };
        let memory = asked.memory()?;
        all.push(Figures {
            load,
            served,
            shared,
            limit,
            compared,
            memory,
        });
    }
    Ok(all)
}
