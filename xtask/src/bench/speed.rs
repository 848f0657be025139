//! Speed of the API server, relative to that of Postgres, and with many papers.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use bench::{Figure, reads};

use super::Arguments;

/// The report with its table, and whether every figure is within its limit.
pub(super) async fn measure(
    arguments: &Arguments,
    binaries: PathBuf,
    papers: Option<u32>,
) -> Result<(Vec<Figure>, String, bool)> {
    let report = reads::run(&reads::Settings {
        binaries,
        rows: arguments.rows,
        papers,
        length: Duration::from_secs(arguments.seconds),
        rounds: arguments.rounds,
        connections: arguments.connections,
        pgbench_clients: &[8, 16, 64],
        compare: arguments.compare.clone(),
        only: arguments.only.clone(),
    })
    .await?;
    let is_good = report.figures.iter().all(reads::Figures::is_good);
    Ok((reads::figures(&report), reads::table(&report), is_good))
}
