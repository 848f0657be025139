//! Gauges whose values are read for each scrape: limits, pools and replicas.

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeMetric},
    metrics::gauge::ConstGauge,
};
use service::metrics::Metrics;
use storage::Pool;

use crate::{
    limits::{COMPRESSIONS, ProcessLimits},
    output::lag::Lag,
};

struct Sampled<F> {
    name: &'static str,
    help: String,
    read: F,
}

impl<F> std::fmt::Debug for Sampled<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl<F, V, const N: usize> Collector for Sampled<F>
where
    F: Fn() -> Vec<([(&'static str, String); N], V)> + Send + Sync + 'static,
    V: EncodeGaugeValue + Default,
    ConstGauge<V>: EncodeMetric,
{
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let kind = ConstGauge::new(V::default()).metric_type();
        let mut gauges = encoder.encode_descriptor(self.name, &self.help, None, kind)?;
        let mut values = (self.read)().into_iter();
        if N == 0 {
            let value = values.next();
            return value.map_or(Ok(()), |(_, value)| ConstGauge::new(value).encode(gauges));
        }
        values.try_for_each(|(labels, value)| ConstGauge::new(value).encode(gauges.encode_family(&labels)?))
    }
}

fn register<F>(metrics: &Metrics, name: &'static str, help: impl Into<String>, read: F)
where
    Sampled<F>: Collector,
{
    let help = help.into();
    let sampled = Box::new(Sampled { name, help, read });
    metrics.register(|registry| registry.register_collector(sampled));
}

fn int(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Adds what is in use of each limit.
pub(crate) fn register_limits(metrics: &Metrics, limits: &ProcessLimits) {
    for slots in [
        &limits.waiters,
        &limits.streams,
        &limits.list_pages,
        &limits.long_bodies,
        &COMPRESSIONS,
        &limits.kubernetes_requests,
        &limits.reviews,
    ] {
        let (limit, slots) = (slots.limit, slots.clone());
        let help = format!("In use of {}: {}", limit.size, limit.reason);
        register(metrics, limit.metric, help, move || vec![([], int(slots.used()))]);
    }
    let memory = [&limits.request_bodies, &limits.rows.slots, &limits.papers.slots].map(Clone::clone);
    let name = "memory_reserved_bytes";
    let help = "Memory reserved for request bodies and for long responses";
    register(metrics, name, help, move || {
        let used = memory.iter().map(|kib| {
            let budget = kib.limit.name.replace(' ', "_");
            ([("budget", budget)], int(kib.used() * 1024))
        });
        used.collect()
    });
}

/// Adds the connections of each pool.
pub(crate) fn register_pools(metrics: &Metrics, pools: Vec<(&'static str, Pool)>) {
    let (name, help) = ("database_connections", "Open connections of each pool");
    register(metrics, name, help, move || {
        let counts = pools.iter().flat_map(|(pool, connections)| {
            let (idle, busy) = connections.counts();
            [("idle", idle), ("busy", busy)].map(|(state, count)| {
                let labels = [("pool", (*pool).to_owned()), ("state", state.to_owned())];
                (labels, int(count))
            })
        });
        counts.collect()
    });
}

/// Adds the replicas' lags, as last measured.
pub(crate) fn register_lags(metrics: &Metrics, lags: Vec<(&'static str, Lag)>) {
    let name = "replica_lag_seconds";
    let help = "How far each replica is behind its primary, as last measured";
    register(metrics, name, help, move || {
        let seen =
            |(name, lag): &(&str, Lag)| Some(([("replica", (*name).to_owned())], lag.seen()?.as_secs_f64()));
        lags.iter().filter_map(seen).collect()
    });
}
