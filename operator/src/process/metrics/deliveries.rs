//! Metrics of webhooks: attempts, and what waits or has failed.

use jiff::Timestamp;
use prometheus_client::metrics::gauge::Gauge;
use storage::feeds::DeliveryStats;

use super::{Counts, RealGauge};

/// Metrics of webhooks.
#[derive(Clone, Debug)]
pub(crate) struct DeliveryMetrics {
    attempts: Counts,
    ended: Counts,
    pending: Gauge,
    failed: Gauge,
    oldest_seconds: RealGauge,
}

impl DeliveryMetrics {
    pub(super) fn registered(registry: &service::metrics::Metrics) -> Self {
        Self {
            attempts: Counts::add(
                registry,
                "webhook_attempts",
                &["outcome"],
                &["accepted", "refused", "gone", "timed_out", "unreachable", "not_allowed", "secret", "postponed"],
                "Attempts to deliver to webhooks of feeds by outcome, the last three of which sent nothing",
            ),
            ended: Counts::add(
                registry,
                "webhook_deliveries",
                &["outcome"],
                &["delivered", "failed"],
                "Deliveries to webhooks of feeds that ended, by outcome",
            ),
            pending: registry.add(
                "webhook_deliveries_pending",
                &[],
                "Deliveries to webhooks of feeds that wait for an attempt",
            ),
            failed: registry.add(
                "webhook_deliveries_failed",
                &[],
                "Deliveries to webhooks of feeds that were given up in the last 30 days and not requested again",
            ),
            oldest_seconds: registry.add(
                "webhook_oldest_pending_seconds",
                &[],
                "Seconds that the delivery to a webhook waits that waits longest; 0 if none does",
            ),
        }
    }

    /// An attempt has ended.
    pub(crate) fn attempted(&self, outcome: &'static str) {
        self.attempts.of(outcome).inc();
    }

    /// A delivery has ended.
    pub(crate) fn ended(&self, outcome: &'static str) {
        self.ended.of(outcome).inc();
    }

    /// What waits, and what has failed.
    #[allow(clippy::cast_precision_loss)] // Times of this universe.
    pub(crate) fn stats(&self, stats: &DeliveryStats, now: Timestamp) {
        self.pending.set(stats.pending);
        self.failed.set(stats.failed);
        let wait = stats.oldest.map(|since| now.duration_since(since).as_secs_f64());
        self.oldest_seconds.set(wait.unwrap_or_default().max(0.0));
    }

    /// A process that is not the leader delivers nothing.
    pub(super) fn standby(&self) {
        self.stats(&DeliveryStats::default(), Timestamp::UNIX_EPOCH);
    }
}
