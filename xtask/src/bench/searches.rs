//! What a search costs in Kubernetes, relative to a bare client.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use bench::searches;

use super::Arguments;

/// A table or JSON, and whether every figure reaches its goal.
pub(super) async fn measure(arguments: &Arguments, binaries: PathBuf) -> Result<(String, bool)> {
    let figures = searches::run(&searches::Settings {
        binaries,
        length: Duration::from_secs(arguments.seconds),
        rounds: arguments.rounds,
        objects: arguments.backlog,
        intervals: arguments.intervals,
        only: arguments.only.clone(),
    })
    .await?;
    let text = if arguments.json {
        searches::json(&figures)?
    } else {
        searches::table(&figures)
    };
    Ok((text, figures.iter().all(searches::Figure::is_good)))
}
