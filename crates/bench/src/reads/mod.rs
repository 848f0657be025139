//! Reads of the API server, relative to the same SQL on the same pages by pgbench. Pages are drawn at random. A run with papers has
//! those of papers, and some others to compare.

mod loads;
mod papers;
mod pgbench;
mod server;
mod stage;
mod table;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use testbed::{http_get, tools::packages, tools::progress};
use url::Url;

pub use loads::{Against, LOADS, Load, Runs};
pub use papers::PaperBytes;
pub use stage::rows;
pub use table::{figures, table};

use crate::figures::median;
use crate::wrk::{self, Measured};

/// What requests draw from: names of Lua tables, and their values.
type Draws = BTreeMap<&'static str, Vec<String>>;

/// The limit of the API server's resident memory, in bytes.
const MOST_MEMORY: u64 = 40 << 20;
/// The longest warm-up before a load.
const WARM_UP: Duration = Duration::from_secs(2);

/// The settings of a run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Folder with the programs (release builds).
    pub binaries: PathBuf,
    /// The number of rows in `results`; `queries` has a tenth of it.
    pub rows: u32,
    /// The number of papers; with it, loads on papers are run, and of the others those that are compared with them.
    pub papers: Option<u32>,
    /// How long each load lasts.
    pub length: Duration,
    /// How often each is measured, its reference with it.
    pub rounds: usize,
    /// The number of client connections.
    pub connections: u32,
    /// The numbers of clients of pgbench, of which the best counts: with more clients than cores, they wait for each other.
    pub pgbench_clients: &'static [u32],
    /// Another server with the ten endpoints, for comparison.
    pub compare: Option<Url>,
    /// Loads whose names contain this; all when empty.
    pub only: String,
}

impl Settings {
    /// Whether a load is part of the run.
    fn has(&self, load: &Load) -> bool {
        let runs = match self.papers {
            None => load.runs != Runs::Papers,
            Some(_) => load.runs != Runs::Speed,
        };
        runs && load.name.contains(&self.only)
    }

    /// The number of clients of a load.
    fn clients(&self, load: &Load) -> u32 {
        load.clients.unwrap_or(self.connections)
    }

    /// How long a load lasts.
    fn length(&self, load: &Load) -> Duration {
        self.length * load.lengths
    }
}

/// The figures of one load.
#[derive(Clone, Debug)]
pub struct Figures {
    /// The load.
    pub load: &'static Load,
    /// Those of the API server, in each round.
    pub served: Vec<Measured>,
    /// The reference rates: transactions per second of pgbench with the same SQL, or the rate of an earlier load.
    pub limits: Vec<f64>,
    /// Those of the other server.
    pub compared: Vec<Measured>,
    /// Peak of the API server's resident memory so far, in bytes.
    pub memory: u64,
}

impl Figures {
    /// The median of all rounds.
    pub fn median(&self, of: impl Fn(&Measured) -> f64) -> f64 {
        let values: Vec<f64> = self.served.iter().map(of).collect();
        median(&values).unwrap_or(f64::NAN)
    }

    /// The median of the reference.
    pub fn limit(&self) -> Option<f64> {
        median(&self.limits)
    }

    /// Requests that failed.
    pub fn failed(&self) -> u64 {
        self.served.iter().map(|served| served.failed).sum()
    }

    /// Whether no request failed, and every figure is within its limit.
    pub fn is_good(&self) -> bool {
        let fast = match (self.limit(), self.load.goal) {
            (Some(limit), Some(goal)) => self.median(|served| served.rate) >= limit * goal,
            _ => true,
        };
        let p99 = self.median(|served| served.p99.as_secs_f64());
        let prompt = self.load.p99.is_none_or(|most| p99 <= most.as_secs_f64());
        fast && prompt && self.failed() == 0 && self.memory <= MOST_MEMORY
    }
}

/// What a run measured.
#[derive(Clone, Debug)]
pub struct Report {
    /// Of each load.
    pub figures: Vec<Figures>,
    /// How large papers are, in a run with papers.
    pub bytes: Option<PaperBytes>,
}

/// Runs every load.
pub async fn run(settings: &Settings) -> Result<Report> {
    tokio::task::spawn_blocking(|| {
        let time = "a few seconds";
        packages::program(&["wrk"], &["wrk"], time)?;
        packages::program(&["pgbench"], &["postgresql"], time)
    })
    .await??;
    if let Some(other) = &settings.compare {
        has_rows(other, settings.rows).await?;
    }
    let mut stage = stage::Stage::set(settings).await?;
    let mut is_settled = false;
    let mut all = Vec::new();
    let scans = stage.scans().await?;
    for load in LOADS.iter().filter(|load| settings.has(load)) {
        if !load.unsettled && !is_settled {
            stage.settle().await?;
            is_settled = true;
        }
        let mut figures = Figures {
            load,
            served: Vec::new(),
            limits: Vec::new(),
            compared: Vec::new(),
            memory: 0,
        };
        for round in 1..=settings.rounds {
            progress::print(&format!("bench: {}, round {round}", load.name));
            measure(&stage, &mut figures, &all, settings).await?;
        }
        all.push(figures);
    }
    if stage.scans().await? != scans {
        bail!("a load read the whole table of papers");
    }
    Ok(Report {
        figures: all,
        bytes: stage.bytes,
    })
}

async fn measure(
    stage: &stage::Stage,
    figures: &mut Figures,
    before: &[Figures],
    settings: &Settings,
) -> Result<()> {
    let load = figures.load;
    let limit = match load.against {
        Against::Sql(database, sql) => Some(pgbench::best(stage, load, (database, sql), settings).await?),
        Against::Load(name) => before
            .iter()
            .find(|figures| figures.load.name == name)
            .map(|figures| figures.median(|served| served.rate)),
        Against::Nothing => None,
    };
    figures.limits.extend(limit);
    let asked = &stage.server;
    let (warm_up, length) = (WARM_UP.min(settings.length), settings.length(load));
    // This opens the database connections; pgbench opens its own before it measures, too.
    let script = script(load, settings.rows, &stage.draws);
    let run = async |server: &Url, length| {
        let run = wrk::Run {
            server,
            script: &script,
            connections: settings.clients(load),
            length,
        };
        wrk::run(&run, &stage.file("load.lua"))
            .await
            .with_context(|| load.name)
    };
    run(asked.url(), warm_up).await?;
    stage.at_rest().await?;
    figures.served.push(run(asked.url(), length).await?);
    stage.at_rest().await?;
    if let Some(url) = settings.compare.as_ref().filter(|_| load.for_all) {
        run(url, warm_up).await?;
        figures.compared.push(run(url, length).await?);
    }
    figures.memory = asked.memory()?;
    Ok(())
}

/// The load's requests, in Lua.
fn script(load: &Load, rows: u32, draws: &Draws) -> String {
    let tables = draws
        .iter()
        .map(|(name, values)| format!("{name} = {{'{}'}}", values.join("', '")));
    let request = "function request() return wrk.format('GET', path()) end\n";
    let rows = std::iter::once(format!("rows = {rows}"));
    let parts = rows
        .chain(tables)
        .chain([load.lua.to_owned(), request.to_owned()]);
    parts.collect::<Vec<_>>().join("\n")
}

/// Fails unless the other server has as many rows: otherwise empty pages would be compared with full ones.
async fn has_rows(other: &Url, rows: u32) -> Result<()> {
    let mut last = other.join("/results")?;
    let page = (rows / 10).saturating_sub(1);
    last.set_query(Some(&format!("page={page}")));
    let (status, body) = http_get(last.clone())
        .await
        .with_context(|| format!("{other} does not answer"))?;
    if status != 200 {
        bail!("{last} answered {status}: --compare needs the root URL of a server with the ten endpoints");
    }
    let papers: Vec<serde_json::Value> =
        serde_json::from_str(&body).with_context(|| format!("{last} returned no list"))?;
    if papers.len() != 10 {
        bail!(
            "{last} has {} results instead of 10: fill its database with the output of `cargo xtask bench rows`, or set --rows",
            papers.len()
        );
    }
    Ok(())
}
