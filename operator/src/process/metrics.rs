//! The operator's metrics. Label values come from fixed sets: no names, no messages.

mod deliveries;
pub(crate) mod feeds;

use std::{sync::atomic::AtomicU64, time::Duration};

use crd::Phase;
use jiff::Timestamp;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use service::metrics::GaugeGuard;
use storage::{IdUsage, StorageError};

pub(crate) use self::deliveries::DeliveryMetrics;
use self::feeds::{FeedMetrics, FeedStats};

/// Before the name of each metric.
pub(crate) const PREFIX: &str = "arxiv_operator";

/// One label: its name and its value.
type Label = [(&'static str, &'static str); 1];
type RealGauge = Gauge<f64, AtomicU64>;

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

/// Counters by the values of a label.
#[derive(Clone, Debug)]
struct Counts {
    label: &'static str,
    family: Family<Label, Counter>,
}

impl Counts {
    /// Counts each of `values` from 0: Prometheus would not see the first one as an increase.
    fn add(
        registry: &service::metrics::Metrics,
        name: &'static str,
        label: &'static [&'static str; 1],
        values: &[&'static str],
        help: &str,
    ) -> Self {
        let help = format!("{help}: {}", values.join(", "));
        let counts = Self {
            label: label[0],
            family: registry.add(name, label, &help),
        };
        for value in values {
            let _ = counts.of(value);
        }
        counts
    }

    fn of(&self, value: &'static str) -> Counter {
        self.family.get_or_create(&[(self.label, value)]).clone()
    }
}

/// In the order of [`QueueStats::queries`].
const PRIORITIES: [&str; 3] = ["low", "default", "high"];

/// Handles to the metrics; clones share their values.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    reconciles: Counts,
    upstream_requests: Counts,
    status_writes: Counts,
    errors: Counts,
    finished: Counts,
    pub(crate) deleted: Counter,
    pub(crate) sweeps: Counter,
    leader: Gauge,
    lease_transitions: Counts,
    claimed_namespaces: Family<Label, Gauge>,
    queue_length: Gauge,
    queue_queries: Family<Label, Gauge>,
    queue_seconds: RealGauge,
    oldest_wait_seconds: RealGauge,
    cool_down_seconds: RealGauge,
    id_usage: Family<Label, RealGauge>,
    pub(crate) deliveries: DeliveryMetrics,
    pub(crate) feeds: FeedMetrics,
}

/// Shows that this process leads, as long as it lives.
#[derive(Debug)]
pub(crate) struct Leads {
    _counted: GaugeGuard,
    to_standby: Counter,
}

impl Drop for Leads {
    fn drop(&mut self) {
        self.to_standby.inc();
    }
}

impl Metrics {
    /// Metrics that `registry` serves.
    pub(crate) fn registered(registry: &service::metrics::Metrics) -> Self {
        storage::register_metrics(registry);
        cluster::register_metrics(registry);
        upstream::register_metrics(registry);
        let counts =
            |name, label, values: &[&'static str], help| Counts::add(registry, name, label, values, help);
        Self {
            reconciles: counts("reconciles", &["outcome"], &["ok", "error"], "Reconciliations by outcome"),
            upstream_requests: counts(
                "upstream_requests",
                &["outcome"],
                &[
                    "answered",
                    "invalid",
                    "throttled",
                    "unreachable",
                    "broken",
                    "stored_meanwhile",
                    "gate_busy",
                    "cooling_down",
                    "gate_lost",
                    "database",
                ],
                "Pages requested from arXiv by outcome, the last five of which led to no request",
            ),
            status_writes: counts(
                "status_writes",
                &["outcome"],
                &["written", "conflict", "gone", "refused", "error"],
                "Status writes by outcome",
            ),
            errors: counts(
                "errors",
                &["category"],
                &[
                    "database",
                    "database_unavailable",
                    "defect",
                    "deliveries",
                    "event_dropped",
                    "kubernetes",
                    "lease",
                    "numbers_taken",
                    "sweep",
                    "watch",
                    "watermark",
                ],
                "Failed operations by category",
            ),
            finished: counts(
                "finished",
                &["phase"],
                &[Phase::Succeeded.as_str(), Phase::Failed.as_str()],
                "Queries that this process finished, by phase",
            ),
            deleted: registry.add("deleted", &[], "Finished queries deleted after their time to live"),
            sweeps: registry.add("sweeps", &[], "Completed rounds of the sweeper"),
            leader: registry.add("leader", &[], "1 while this process is the leader, 0 in standby"),
            lease_transitions: counts(
                "lease_transitions",
                &["to"],
                &["leader", "standby"],
                "Changes of this process to a role",
            ),
            claimed_namespaces: registry.add(
                "claimed_namespaces",
                &["by"],
                "Namespaces whose queries of this class are run by: this, another (installation); only those that this process \
                 had to do with",
            ),
            queue_length: registry.add("queue_length", &[], "Pages in the queue for arXiv"),
            queue_queries: registry.add(
                "queue_queries",
                &["priority"],
                "Queries in the queue for arXiv, by priority: low (below 0), default (0), high (above 0)",
            ),
            queue_seconds: registry.add(
                "queue_expected_seconds",
                &[],
                "Shortest time in seconds to fetch all queued pages: requests times interval, plus the cool-down",
            ),
            oldest_wait_seconds: registry.add(
                "queue_oldest_wait_seconds",
                &[],
                "Seconds that the oldest query has been in the queue for arXiv",
            ),
            cool_down_seconds: registry.add(
                "cool_down_seconds",
                &[],
                "Seconds until requests to arXiv continue after it asked to slow down; 0 outside of a cool-down",
            ),
            id_usage: registry.add(
                "ids_used_ratio",
                &["table"],
                "Used part of all ids that a table can assign, by table",
            ),
            deliveries: DeliveryMetrics::registered(registry),
            feeds: FeedMetrics::registered(registry),
        }
    }

    pub(crate) fn reconciled(&self, outcome: &'static str) {
        self.reconciles.of(outcome).inc();
    }

    pub(crate) fn requested(&self, outcome: &'static str) {
        self.upstream_requests.of(outcome).inc();
    }

    pub(crate) fn wrote_status(&self, outcome: &'static str) {
        self.status_writes.of(outcome).inc();
    }

    pub(crate) fn failed(&self, category: &'static str) {
        self.errors.of(category).inc();
    }

    /// This process leads, until the guard is dropped.
    pub(crate) fn leads(&self) -> Leads {
        self.lease_transitions.of("leader").inc();
        Leads {
            _counted: GaugeGuard::new(&self.leader),
            to_standby: self.lease_transitions.of("standby"),
        }
    }

    /// How many namespaces this installation and others have claimed.
    pub(crate) fn claims(&self, this: usize, another: usize) {
        for (by, namespaces) in [("this", this), ("another", another)] {
            let namespaces = i64::try_from(namespaces).unwrap_or(i64::MAX);
            self.claimed_namespaces
                .get_or_create(&[("by", by)])
                .set(namespaces);
        }
    }

    /// A periodic task failed in a database. An unavailable one is shown by readiness and not logged here.
    pub(crate) fn task_failed(&self, category: &'static str, problem: &str, error: &StorageError) {
        if error.is_unavailable() {
            self.failed("database_unavailable");
        } else {
            self.failed(category);
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, "{problem}");
        }
    }

    pub(crate) fn finished(&self, phase: Phase) {
        self.finished.of(phase.as_str()).inc();
    }

    /// The queue for arXiv: its size, and the shortest time in which it can be worked off. `cool_down`:
    /// seconds until its end.
    #[allow(clippy::cast_possible_wrap, clippy::cast_precision_loss)] // A queue of 2^52 pages does not fit anywhere.
    pub(crate) fn queue(&self, stats: &QueueStats, cool_down: f64, interval: Duration, now: Timestamp) {
        self.cool_down_seconds.set(cool_down);
        self.queue_length.set(stats.requests as i64);
        for (priority, queries) in PRIORITIES.into_iter().zip(stats.queries) {
            let gauge = self.queue_queries.get_or_create(&[("priority", priority)]);
            gauge.set(queries as i64);
        }
        self.queue_seconds
            .set(cool_down + stats.requests as f64 * interval.as_secs_f64());
        let wait = stats.oldest.map(|since| now.duration_since(since).as_secs_f64());
        self.oldest_wait_seconds.set(wait.unwrap_or_default().max(0.0));
    }

    /// A process that is not the leader has no queue and no feeds, and delivers nothing.
    pub(crate) fn standby(&self) {
        self.feeds.count(&FeedStats::default());
        self.queue(&QueueStats::default(), 0.0, Duration::ZERO, Timestamp::UNIX_EPOCH);
        self.deliveries.standby();
    }

    pub(crate) fn id_usage(&self, used: IdUsage) {
        for (table, used) in [("queries", used.queries), ("results", used.results)] {
            self.id_usage.get_or_create(&[("table", table)]).set(used);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documentation_has_the_metrics_of_the_operator() {
        let registry = service::metrics::Metrics::with_prefix(PREFIX);
        let _metrics = Metrics::registered(&registry);
        service::health::Readiness::default().register(&registry);
        let (found, expected) = ::metrics::section("the operator", &registry).unwrap();
        assert_eq!(
            found, expected,
            "docs/metrics.md has changed: run `METRICS_UPDATE=1 cargo test --workspace documentation_has_the_metrics`"
        );
    }

    #[test]
    fn leadership_is_counted_when_it_begins_and_when_it_ends() {
        let registry = service::metrics::Metrics::with_prefix(PREFIX);
        let metrics = Metrics::registered(&registry);
        let has = |line: &str| registry.text().unwrap().contains(line);
        let leads = metrics.leads();
        assert!(has("arxiv_operator_leader 1\n"));
        assert!(has("{to=\"standby\"} 0\n"), "counted from 0");
        drop(leads);
        assert!(has("arxiv_operator_leader 0\n"));
        assert!(has("arxiv_operator_lease_transitions_total{to=\"leader\"} 1\n"));
        assert!(has("arxiv_operator_lease_transitions_total{to=\"standby\"} 1\n"));
    }
}
