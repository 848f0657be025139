//! The metrics of this process.

use std::{sync::Arc, time::Duration};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
    },
};
use service::metrics::Metrics;
use storage::PgPool;

use crate::{limits::response_memory::AnswerRoom, output::lag::Lag};

/// From a stored page's milliseconds to a wait at its limit, in seconds.
const DURATIONS: [f64; 12] = [
    0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 3.0, 10.0, 30.0, 60.0,
];

/// Labels with few values each: a route and not a path, a known method or "other".
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(crate) struct RequestLabels {
    pub(crate) endpoint: String,
    pub(crate) method: &'static str,
    pub(crate) status: u16,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct EndpointLabel {
    endpoint: String,
}

/// The handles that count.
#[derive(Clone)]
pub(crate) struct Counts {
    requests: Family<RequestLabels, Counter>,
    durations: Family<EndpointLabel, Histogram, fn() -> Histogram>,
    pub(crate) connections: Gauge,
    pub(crate) waiters: Gauge,
    pub(crate) streams: Gauge,
    pub(crate) unfinished: Gauge,
    pub(crate) kubernetes_in_flight: Gauge,
}

impl Counts {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let counts = Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(DURATIONS)),
            connections: Gauge::default(),
            waiters: Gauge::default(),
            streams: Gauge::default(),
            unfinished: Gauge::default(),
            kubernetes_in_flight: Gauge::default(),
        };
        metrics.register(|registry| {
            registry.register("requests", "Requests answered", counts.requests.clone());
            registry.register(
                "request_duration_seconds",
                "From a request's head to its answer's head",
                counts.durations.clone(),
            );
            registry.register(
                "connections",
                "Open client connections",
                counts.connections.clone(),
            );
            registry.register(
                "event_streams",
                "Clients that follow events",
                counts.streams.clone(),
            );
            registry.register(
                "unfinished_queries",
                "Queries of the namespace that have not ended, as this process sees them",
                counts.unfinished.clone(),
            );
            registry.register("waiters", "Clients of /arxiv that wait", counts.waiters.clone());
            registry.register(
                "kubernetes_requests_in_flight",
                "Requests to Kubernetes under way, without the watch",
                counts.kubernetes_in_flight.clone(),
            );
        });
        counts
    }

    pub(crate) fn answered(&self, labels: &RequestLabels, after: Duration) {
        let endpoint = EndpointLabel {
            endpoint: labels.endpoint.clone(),
        };
        self.durations
            .get_or_create(&endpoint)
            .observe(after.as_secs_f64());
        self.requests.get_or_create(labels).inc();
    }
}

/// The connections of each pool, read for each scrape.
#[derive(Debug)]
struct PoolUse {
    pools: Arc<[(&'static str, PgPool)]>,
}

/// Adds the pools' use to the metrics.
pub(crate) fn register_pools(metrics: &Metrics, pools: Vec<(&'static str, PgPool)>) {
    let pools = pools.into();
    metrics.register(|registry| registry.register_collector(Box::new(PoolUse { pools })));
}

impl Collector for PoolUse {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let gauge = ConstGauge::new(0_i64);
        let mut connections = encoder.encode_descriptor(
            "database_connections",
            "Open connections of each pool",
            None,
            gauge.metric_type(),
        )?;
        for (name, pool) in self.pools.iter() {
            let idle = i64::try_from(pool.num_idle()).unwrap_or(i64::MAX);
            let busy = i64::from(pool.size()).saturating_sub(idle).max(0);
            for (state, count) in [("idle", idle), ("busy", busy)] {
                let labels = [("pool", *name), ("state", state)];
                ConstGauge::new(count).encode(connections.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

/// How far each replica is behind, as last measured.
#[derive(Debug)]
struct Lags(Arc<[(&'static str, Lag)]>);

/// Adds the replicas' lags to the metrics.
pub(crate) fn register_lags(metrics: &Metrics, lags: Vec<(&'static str, Lag)>) {
    let lags = Lags(lags.into());
    metrics.register(|registry| registry.register_collector(Box::new(lags)));
}

impl Collector for Lags {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let gauge = ConstGauge::new(0.0_f64);
        let mut lags = encoder.encode_descriptor(
            "replica_lag_seconds",
            "How far each replica is behind its primary, as last measured",
            None,
            gauge.metric_type(),
        )?;
        for (name, lag) in self.0.iter() {
            if let Some(seen) = lag.seen() {
                let labels = [("replica", *name)];
                ConstGauge::new(seen.as_secs_f64()).encode(lags.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

/// The memory that is reserved for responses.
#[derive(Debug)]
struct Answers([AnswerRoom; 2]);

/// Adds the budgets for responses to the metrics.
pub(crate) fn register_answers(metrics: &Metrics, rooms: [AnswerRoom; 2]) {
    metrics.register(|registry| registry.register_collector(Box::new(Answers(rooms))));
}

impl Collector for Answers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let gauge = ConstGauge::new(0_i64);
        let mut taken = encoder.encode_descriptor(
            "response_memory_bytes",
            "Memory reserved for large responses that are being written or not read yet",
            None,
            gauge.metric_type(),
        )?;
        for room in &self.0 {
            let bytes = i64::try_from(room.taken()).unwrap_or(i64::MAX);
            let labels = [("budget", room.name())];
            ConstGauge::new(bytes).encode(taken.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
