//! `cargo xtask bench`: what is measured, beside its limits.

mod figure;
mod memory;
mod speed;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use url::Url;

use crate::{cargo, output};

/// Measures speed and memory, and shows each figure beside its limit; fails when one is beyond.
///
/// Everything is on this machine and shares its cores. Speed: clients (wrk), the API server (a release build), Postgres with
/// its replica, and pgbench, which does the same SQL on the same pages in the same run. Memory: an operator beside ever more
/// finished objects. Installs wrk with apt-get when run by root on Debian.
///
/// `--compare URL` runs the loads against another server with the ten endpoints too, which is there already, and prints what ours
/// serves as a ratio to it. It needs the same rows in a database of its own, and dates in UTC (`TIMEZONE_OFFSET=0`):
/// `cargo xtask bench rows | psql URL-OF-ITS-DATABASE`, then `cargo xtask bench speed --compare http://HOST:PORT`, with the same
/// --rows where they are not as many as usual. Loads on what only this server has (cursors) are not put to it.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What to measure; speed and memory unless said.
    #[arg(value_enum)]
    what: Option<What>,
    /// Speed: only loads whose names contain this.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Speed: rows in `results`; there are a tenth as many in `queries`.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    rows: u32,
    /// Speed: seconds of each load.
    #[arg(long, value_name = "S", default_value_t = 10)]
    seconds: u64,
    /// Speed: connections of clients.
    #[arg(long, value_name = "N", default_value_t = 64)]
    connections: u32,
    /// Speed: root of another server with the ten endpoints, to be measured beside.
    #[arg(long, value_name = "URL")]
    compare: Option<Url>,
    /// Memory: how many finished objects there are in etcd.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    objects: usize,
    /// Where the programs are; release builds are made unless given.
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum What {
    /// Of the API server.
    Speed,
    /// Of the operator.
    Memory,
    /// Nothing: prints the SQL that makes the rows, for another server's empty tables `queries` and `results`.
    Rows,
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    if arguments.what == Some(What::Rows) {
        output::result(&bench::rows(arguments.rows));
        return Ok(ExitCode::SUCCESS);
    }
    testbed::postgres::ensure_installed()?;
    let binaries = match &arguments.binaries {
        Some(folder) => std::path::absolute(folder)?,
        None => cargo::build_binaries(true)?,
    };
    let mut within = true;
    if arguments.what != Some(What::Memory) {
        let (table, good) = speed::measure(&arguments, binaries.clone()).await?;
        output::result(&table);
        within &= good;
    }
    if arguments.what != Some(What::Speed) {
        let figures = Box::pin(memory::measure(binaries, arguments.objects)).await?;
        output::result(&figure::table(&figures));
        within &= figures.iter().all(figure::Figure::is_within);
    }
    Ok(if within {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
