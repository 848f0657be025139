//! Speed of the API server, relative to that of Postgres.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use bench::reads;

use super::Arguments;

/// A table, and whether every figure is within its limit.
pub(super) async fn measure(arguments: &Arguments, binaries: PathBuf) -> Result<(String, bool)> {
    let figures = reads::run(&reads::Settings {
        binaries,
        rows: arguments.rows,
        length: Duration::from_secs(arguments.seconds),
        connections: arguments.connections,
        pgbench_clients: &[8, 16, 64],
        compare: arguments.compare.clone(),
        only: arguments.only.clone(),
    })
    .await?;
    Ok((
        reads::table(&figures),
        figures.iter().all(reads::Figures::is_good),
    ))
}
