//! `cargo xtask bench`: benchmarks and their limits.

mod memory;
mod searches;
mod speed;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use bench::Figure;
use url::Url;

use crate::{cargo, output};

/// Measures speed, the cost of searches, and memory, and prints each figure with its limit. Fails when a limit is exceeded.
///
/// Everything runs on this machine and shares its cores. Speed: clients (wrk), the API server (a release build), Postgres with
/// its replica, and pgbench, which runs the same SQL on the same pages in the same run. Papers: the same with a table of many
/// papers, which takes minutes to fill and 15 GB of disk space. Searches: the whole system with a Kubernetes API server, and a bare
/// client of that. Memory: an operator with a growing number of finished objects. Installs wrk with apt-get when run by root on
/// Debian.
///
/// `--compare URL` also runs the loads against another running server with the ten endpoints, and prints this server's rate as a
/// ratio to it. It needs the same rows in its own database, and dates in UTC (`TIMEZONE_OFFSET=0`):
/// `cargo xtask bench rows | psql URL-OF-ITS-DATABASE`, then `cargo xtask bench speed --compare http://HOST:PORT`, with the same
/// --rows if it is not the default. Loads that need this server's own features (cursors) are skipped for it.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What to measure; everything by default.
    #[arg(value_enum)]
    what: Option<What>,
    /// Speed, papers and searches: only loads whose names contain this (of searches: start, cost, stored, drain, interval).
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Speed and papers: rows in `results`; `queries` has a tenth of it.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    rows: u32,
    /// Papers: their number.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    papers: u32,
    /// Speed, papers and searches: duration of each load in seconds.
    #[arg(long, value_name = "S", default_value_t = 10)]
    seconds: u64,
    /// Speed and papers: number of client connections, of loads that do not have their own.
    #[arg(long, value_name = "N", default_value_t = 64)]
    connections: u32,
    /// Speed: root URL of another server with the ten endpoints, for comparison.
    #[arg(long, value_name = "URL")]
    compare: Option<Url>,
    /// Speed, papers and searches: how often each is measured.
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,
    /// Searches: number of objects that wait when the operator starts.
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    backlog: usize,
    /// Searches: number of observed pauses of three seconds between requests to arXiv; 0 for none.
    #[arg(long, value_name = "N", default_value_t = 200)]
    intervals: usize,
    /// Print the figures as JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Keep the figures in `crates/bench/figures` (not those of papers), and write the tables of `docs/performance.md` from all that
    /// are kept; of growth also the chart.
    #[arg(long)]
    write: bool,
    /// Memory: number of finished objects in etcd.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    objects: usize,
    /// Growth: the greatest number of anything.
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    most: u32,
    /// The folder of the programs; release builds by default.
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum What {
    /// The API server's speed.
    Speed,
    /// Its speed with many papers, and how large they are.
    Papers,
    /// What a search costs in Kubernetes, relative to a bare client of its API server.
    Searches,
    /// The operator's memory.
    Memory,
    /// How speed and memory change with rows, objects, namespaces and clients. It is only measured when it is named: ten million
    /// rows take ten minutes and 20 GB.
    Growth,
    /// Measures nothing: prints the SQL that inserts the rows into another server's empty tables `queries` and `results`.
    Rows,
    /// Measures nothing: writes the tables of `docs/performance.md` from the figures in `crates/bench/figures`.
    Page,
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    match arguments.what {
        Some(What::Rows) => {
            output::result(&bench::reads::rows(arguments.rows));
            return Ok(ExitCode::SUCCESS);
        }
        Some(What::Page) => {
            bench::page::write(&cargo::root())?;
            return Ok(ExitCode::SUCCESS);
        }
        _ => {}
    }
    testbed::postgres::ensure_installed()?;
    let binaries = match &arguments.binaries {
        Some(folder) => std::path::absolute(folder)?,
        None => cargo::build_binaries(true)?,
    };
    let mut within = true;
    let wanted = |what| arguments.what.is_none_or(|wanted| wanted == what);
    for (what, papers) in [(What::Speed, None), (What::Papers, Some(arguments.papers))] {
        if wanted(what) {
            let (figures, table, good) = speed::measure(&arguments, binaries.clone(), papers).await?;
            let name = if papers.is_some() { "papers" } else { "speed" };
            show(&arguments, name, &figures, table)?;
            within &= good;
        }
    }
    if wanted(What::Searches) {
        let figures = searches::measure(&arguments, binaries.clone()).await?;
        show(&arguments, "searches", &figures, bench::table(&figures))?;
        within &= figures.iter().all(Figure::is_good);
    }
    if wanted(What::Memory) {
        let figures = Box::pin(memory::measure(binaries.clone(), arguments.objects)).await?;
        show(&arguments, "memory", &figures, bench::table(&figures))?;
        within &= figures.iter().all(Figure::is_good);
    }
    if arguments.what == Some(What::Growth) {
        grow(&arguments, binaries).await?;
    }
    Ok(if within {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Prints how figures change, and keeps it with its chart if that is wanted.
async fn grow(arguments: &Arguments, binaries: PathBuf) -> Result<()> {
    let series = bench::growth::run(&bench::growth::Settings {
        binaries,
        length: Duration::from_secs(arguments.seconds),
        most: arguments.most,
    })
    .await?;
    output::result(&serde_json::to_string_pretty(&series)?);
    if arguments.write {
        let keep = move || bench::page::keep_growth(&cargo::root(), &series);
        tokio::task::spawn_blocking(keep).await??;
    }
    Ok(())
}

/// Prints figures, and keeps them if that is wanted.
fn show(arguments: &Arguments, name: &str, figures: &[Figure], table: String) -> Result<()> {
    let text = if arguments.json {
        bench::json(figures)?
    } else {
        table
    };
    output::result(&text);
    if arguments.write && name != "papers" {
        bench::page::keep(&cargo::root(), name, figures)?;
        bench::page::write(&cargo::root())?;
    }
    Ok(())
}
