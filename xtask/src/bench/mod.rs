//! `cargo xtask bench`: benchmarks and their limits.

mod figure;
mod memory;
mod speed;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use url::Url;

use crate::{cargo, output};

/// Measures speed and memory, and prints each figure with its limit. Fails when a limit is exceeded.
///
/// Everything runs on this machine and shares its cores. Speed: clients (wrk), the API server (a release build), Postgres with
/// its replica, and pgbench, which runs the same SQL on the same pages in the same run. Memory: an operator with a growing
/// number of finished objects. Installs wrk with apt-get when run by root on Debian.
///
/// `--compare URL` also runs the loads against another running server with the ten endpoints, and prints this server's rate as a
/// ratio to it. It needs the same rows in its own database, and dates in UTC (`TIMEZONE_OFFSET=0`):
/// `cargo xtask bench rows | psql URL-OF-ITS-DATABASE`, then `cargo xtask bench speed --compare http://HOST:PORT`, with the same
/// --rows if it is not the default. Loads that need this server's own features (cursors) are skipped for it.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What to measure; speed and memory by default.
    #[arg(value_enum)]
    what: Option<What>,
    /// Speed: only loads whose names contain this.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Speed: rows in `results`; `queries` has a tenth of it.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    rows: u32,
    /// Speed: duration of each load in seconds.
    #[arg(long, value_name = "S", default_value_t = 10)]
    seconds: u64,
    /// Speed: number of client connections.
    #[arg(long, value_name = "N", default_value_t = 64)]
    connections: u32,
    /// Speed: root URL of another server with the ten endpoints, for comparison.
    #[arg(long, value_name = "URL")]
    compare: Option<Url>,
    /// Memory: number of finished objects in etcd.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    objects: usize,
    /// The folder of the programs; release builds by default.
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum What {
    /// The API server's speed.
    Speed,
    /// The operator's memory.
    Memory,
    /// Measures nothing: prints the SQL that inserts the rows into another server's empty tables `queries` and `results`.
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
