//! The operator's metrics. Label values come from fixed sets: no names, no messages.

use std::{sync::atomic::AtomicU64, time::Duration};

use jiff::Timestamp;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use storage::IdUsage;

/// One label named `outcome`.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(crate) struct OutcomeLabel {
    outcome: &'static str,
}

/// One label named `category`.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(crate) struct CategoryLabel {
    category: &'static str,
}

/// One label named `phase`.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(crate) struct PhaseLabel {
    phase: &'static str,
}

/// One label named `priority`: below 0, 0, or above.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(crate) struct PriorityLabel {
    priority: &'static str,
}

/// One label named `table`.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(crate) struct TableLabel {
    table: &'static str,
}

/// The size of the queue for arXiv.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct QueueStats {
    /// Requests that are queued.
    pub(crate) requests: usize,
    /// Queries that wait: of a priority below 0, of 0, and above.
    pub(crate) queries: [usize; 3],
    /// Since when the query waits that waits longest.
    pub(crate) oldest: Option<Timestamp>,
}

/// In the order of [`QueueStats::queries`].
const PRIORITIES: [&str; 3] = ["low", "default", "high"];

/// Handles to the metrics; clones share their values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    reconciles: Family<OutcomeLabel, Counter>,
    upstream_requests: Family<OutcomeLabel, Counter>,
    status_writes: Family<OutcomeLabel, Counter>,
    errors: Family<CategoryLabel, Counter>,
    finished: Family<PhaseLabel, Counter>,
    deleted: Counter,
    sweeps: Counter,
    pub(crate) leader: Gauge,
    queue_length: Gauge,
    queue_queries: Family<PriorityLabel, Gauge>,
    queue_seconds: Gauge<f64, AtomicU64>,
    oldest_wait_seconds: Gauge<f64, AtomicU64>,
    cool_down_seconds: Gauge<f64, AtomicU64>,
    id_usage: Family<TableLabel, Gauge<f64, AtomicU64>>,
}

impl Metrics {
    /// Metrics that `registry` serves.
    pub(crate) fn registered(registry: &service::metrics::Metrics) -> Self {
        let metrics = Self::default();
        registry.register(|r| {
            r.register(
                "reconciles",
                "Reconciliations by outcome",
                metrics.reconciles.clone(),
            );
            r.register(
                "upstream_requests",
                "Pages requested from arXiv by outcome",
                metrics.upstream_requests.clone(),
            );
            r.register(
                "status_writes",
                "Status writes by outcome",
                metrics.status_writes.clone(),
            );
            r.register(
                "errors",
                "Failed operations by category",
                metrics.errors.clone(),
            );
            r.register(
                "finished",
                "Queries that this process finished, by phase",
                metrics.finished.clone(),
            );
            r.register(
                "deleted",
                "Finished queries deleted after their time to live",
                metrics.deleted.clone(),
            );
            r.register(
                "sweeps",
                "Completed rounds of the sweeper",
                metrics.sweeps.clone(),
            );
            r.register(
                "leader",
                "1 while this process is the leader, 0 in standby",
                metrics.leader.clone(),
            );
            r.register(
                "queue_length",
                "Pages in the queue for arXiv",
                metrics.queue_length.clone(),
            );
            r.register(
                "queue_queries",
                "Queries in the queue for arXiv, by priority: low (below 0), default (0), high (above 0)",
                metrics.queue_queries.clone(),
            );
            r.register(
                "queue_expected_seconds",
                "Shortest time in seconds to fetch all queued pages: requests times interval, plus the cool-down",
                metrics.queue_seconds.clone(),
            );
            r.register(
                "queue_oldest_wait_seconds",
                "Seconds that the oldest query has been in the queue for arXiv",
                metrics.oldest_wait_seconds.clone(),
            );
            r.register(
                "cool_down_seconds",
                "Seconds until requests to arXiv continue after it asked to slow down; 0 outside of a cool-down",
                metrics.cool_down_seconds.clone(),
            );
            r.register(
                "ids_used_ratio",
                "Used part of all ids that a table can assign, by table",
                metrics.id_usage.clone(),
            );
        });
        metrics
    }

    pub(crate) fn reconciled(&self, outcome: &'static str) {
        self.reconciles.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    pub(crate) fn requested(&self, outcome: &'static str) {
        self.upstream_requests
            .get_or_create(&OutcomeLabel { outcome })
            .inc();
    }

    pub(crate) fn wrote_status(&self, outcome: &'static str) {
        self.status_writes.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    pub(crate) fn failed(&self, category: &'static str) {
        self.errors.get_or_create(&CategoryLabel { category }).inc();
    }

    pub(crate) fn finished(&self, phase: crd::Phase) {
        self.finished
            .get_or_create(&PhaseLabel {
                phase: phase.as_str(),
            })
            .inc();
    }

    /// The queue for arXiv: its size, and the shortest time in which it can be worked off. `cool_down`:
    /// seconds until its end.
    #[allow(clippy::cast_possible_wrap, clippy::cast_precision_loss)] // A queue of 2^52 pages does not fit anywhere.
    pub(crate) fn queue(&self, stats: &QueueStats, cool_down: f64, interval: Duration, now: Timestamp) {
        self.cool_down_seconds.set(cool_down);
        self.queue_length.set(stats.requests as i64);
        for (priority, queries) in PRIORITIES.into_iter().zip(stats.queries) {
            self.queue_queries
                .get_or_create(&PriorityLabel { priority })
                .set(queries as i64);
        }
        self.queue_seconds
            .set(cool_down + stats.requests as f64 * interval.as_secs_f64());
        let wait = stats
            .oldest
            .map_or(0.0, |since| now.duration_since(since).as_secs_f64());
        self.oldest_wait_seconds.set(wait.max(0.0));
    }

    /// The queue of a process that is not the leader is empty.
    pub(crate) fn standby(&self) {
        self.queue(&QueueStats::default(), 0.0, Duration::ZERO, Timestamp::UNIX_EPOCH);
    }

    pub(crate) fn id_usage(&self, used: IdUsage) {
        for (table, used) in [("queries", used.queries), ("results", used.results)] {
            self.id_usage.get_or_create(&TableLabel { table }).set(used);
        }
    }

    pub(crate) fn swept(&self) {
        self.sweeps.inc();
    }

    pub(crate) fn deleted(&self) {
        self.deleted.inc();
    }
}
