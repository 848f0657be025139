//! Tells readers, over and over, how far the results are settled: up to there no page has a hole or will change.

use std::{sync::Arc, time::Duration};

use service::health::Heartbeat;
use tokio_util::sync::CancellationToken;

use crate::controller::context::Context;

/// How far what is settled is behind what is recorded, about. When there is nothing new, a round is one read.
const INTERVAL: Duration = Duration::from_secs(2);

/// Settles until it is stopped.
pub(crate) async fn run(context: Arc<Context>, heartbeat: Heartbeat, stop: CancellationToken) {
    let mut due = tokio::time::interval(INTERVAL);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = due.tick() => {}
            () = stop.cancelled() => return,
        }
        heartbeat.beat();
        let settled = tokio::select! {
            settled = context.records.advance_watermark() => settled,
            // It may be left at any point.
            () = stop.cancelled() => return,
        };
        match settled {
            Ok(()) => {}
            Err(error) if error.is_unavailable() => context.metrics.failed("database_away"),
            Err(error) => {
                context.metrics.failed("settle");
                tracing::warn!("what was recorded is not settled: {error}");
            }
        }
    }
}
