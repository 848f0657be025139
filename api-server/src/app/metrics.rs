//! The metrics of this process.

use std::time::Duration;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, EncodeMetric},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
    },
};
use service::metrics::Metrics;
use storage::PgPool;

use crate::output::lag::Lag;

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
    pub(crate) unfinished: Gauge,
}

impl Counts {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let counts = Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(DURATIONS)),
            connections: Gauge::default(),
            unfinished: Gauge::default(),
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
                "unfinished_queries",
                "Queries of the namespace that have not ended, as this process sees them",
                counts.unfinished.clone(),
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

/// Gauges whose values are read for each scrape.
struct Sampled<F> {
    name: &'static str,
    help: &'static str,
    read: F,
}

impl<F> std::fmt::Debug for Sampled<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl<F, V, const N: usize> Collector for Sampled<F>
where
    F: Fn() -> Vec<([(&'static str, &'static str); N], V)> + Send + Sync + 'static,
    V: EncodeGaugeValue + Default,
    ConstGauge<V>: EncodeMetric,
{
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let kind = ConstGauge::new(V::default()).metric_type();
        let mut gauges = encoder.encode_descriptor(self.name, self.help, None, kind)?;
        for (labels, value) in (self.read)() {
            ConstGauge::new(value).encode(gauges.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// Adds the connections of each pool to the metrics.
pub(crate) fn register_pools(metrics: &Metrics, pools: Vec<(&'static str, PgPool)>) {
    let read = move || {
        let mut counts = Vec::new();
        for (name, pool) in &pools {
            let idle = i64::try_from(pool.num_idle()).unwrap_or(i64::MAX);
            let busy = i64::from(pool.size()).saturating_sub(idle).max(0);
            counts.push(([("pool", *name), ("state", "idle")], idle));
            counts.push(([("pool", *name), ("state", "busy")], busy));
        }
        counts
    };
    let (name, help) = ("database_connections", "Open connections of each pool");
    register(metrics, Sampled { name, help, read });
}

/// Adds the replicas' lags to the metrics, as last measured.
pub(crate) fn register_lags(metrics: &Metrics, lags: Vec<(&'static str, Lag)>) {
    let read = move || {
        let seen =
            |(name, lag): &(&'static str, Lag)| Some(([("replica", *name)], lag.seen()?.as_secs_f64()));
        lags.iter().filter_map(seen).collect()
    };
    let (name, help) = (
        "replica_lag_seconds",
        "How far each replica is behind its primary, as last measured",
    );
    register(metrics, Sampled { name, help, read });
}

fn register(metrics: &Metrics, collector: impl Collector) {
    metrics.register(|registry| registry.register_collector(Box::new(collector)));
}
