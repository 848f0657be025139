//! What a search costs in Kubernetes, relative to a bare client.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use bench::{Figure, searches};

use super::Arguments;

/// All figures.
pub(super) async fn measure(arguments: &Arguments, binaries: PathBuf) -> Result<Vec<Figure>> {
    let settings = searches::Settings {
        binaries,
        length: Duration::from_secs(arguments.seconds),
        rounds: arguments.rounds,
        objects: arguments.backlog,
        intervals: arguments.intervals,
        only: arguments.only.clone(),
    };
    Box::pin(searches::run(&settings)).await
}
