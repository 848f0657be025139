//! Publishes the settled watermark, again and again: up to it, no page of results has a gap or will change.

use std::time::Duration;

use service::health::Heartbeat;
use storage::Records;
use tokio_util::sync::CancellationToken;

use crate::process::metrics::Metrics;

/// About how far the watermark is behind what is recorded. When there is nothing new, a round is one read.
const INTERVAL: Duration = Duration::from_secs(2);

/// Moves the watermark until it is stopped.
pub(crate) async fn run(records: Records, metrics: Metrics, heartbeat: Heartbeat, stop: CancellationToken) {
    let mut due = tokio::time::interval(INTERVAL);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = due.tick() => {}
            () = stop.cancelled() => return,
        }
        heartbeat.beat();
        let moved = tokio::select! {
            moved = records.advance_watermark() => moved,
            // It may be dropped at any point.
            () = stop.cancelled() => return,
        };
        match moved {
            Ok(()) => {}
            Err(error) if error.is_unavailable() => metrics.failed("database_unavailable"),
            Err(error) => {
                metrics.failed("watermark");
                tracing::warn!("the settled watermark is not moved: {error}");
            }
        }
    }
}
