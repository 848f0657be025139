//! Publishes the settled watermark, again and again: up to it, no page of results has a gap or will change.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::process::dependencies::Dependencies;

/// About how far the watermark is behind what is recorded. When there is nothing new, a round is one read.
const INTERVAL: Duration = Duration::from_secs(2);
/// A round is one database operation, which has a time limit.
const STALL: Duration = Duration::from_mins(2);

/// Moves the watermark until it is stopped.
pub(crate) async fn run(with: Arc<Dependencies>, stop: CancellationToken) {
    let heartbeat = with.liveness.watch("watermark", STALL);
    let mut due = tokio::time::interval(INTERVAL);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // It may be dropped at any point.
    let rounds = async {
        loop {
            due.tick().await;
            heartbeat.beat();
            if let Err(error) = with.records.advance_watermark().await {
                let problem = "the settled watermark is not moved";
                with.metrics.task_failed("watermark", problem, &error);
            }
        }
    };
    stop.run_until_cancelled(Box::pin(rounds)).await;
}
