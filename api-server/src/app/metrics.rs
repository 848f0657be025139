//! Gauges whose values are read for each scrape: limits, pools and replicas.

use service::metrics::Metrics;
use storage::Pool;

use crate::{
    limits::{COMPRESSIONS, ProcessLimits},
    output::lag::Lag,
};

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
        &limits.decodings,
        &COMPRESSIONS,
        &limits.kubernetes_requests,
        &limits.reviews,
    ] {
        let (limit, slots) = (slots.limit, slots.clone());
        let help = format!("In use of {}: {}", limit.size, limit.reason);
        metrics.sample(limit.metric, &[], help, move || vec![([], int(slots.used()))]);
    }
    let memory = [&limits.request_bodies, &limits.rows.slots, &limits.papers.slots].map(Clone::clone);
    let name = "memory_reserved_bytes";
    let help = "Memory reserved for request bodies and for long responses";
    metrics.sample(name, &["budget"], help, move || {
        let used = memory.iter().map(|kib| {
            let budget = kib.limit.name.replace(' ', "_");
            ([budget], int(kib.used() * 1024))
        });
        used.collect()
    });
}

/// Adds the connections of each pool.
pub(crate) fn register_pools(metrics: &Metrics, pools: Vec<(&'static str, Pool)>) {
    let (name, help) = ("database_connections", "Open connections of each pool");
    metrics.sample(name, &["pool", "state"], help, move || {
        let counts = pools.iter().flat_map(|(pool, connections)| {
            let (idle, busy) = connections.counts();
            [("idle", idle), ("busy", busy)]
                .map(|(state, count)| ([(*pool).to_owned(), state.to_owned()], int(count)))
        });
        counts.collect()
    });
}

/// Adds the replicas' lags, as last measured.
pub(crate) fn register_lags(metrics: &Metrics, lags: Vec<(&'static str, Lag)>) {
    let name = "replica_lag_seconds";
    let help = "How far each replica is behind its primary, as last measured";
    metrics.sample(name, &["replica"], help, move || {
        let seen = |(name, lag): &(&str, Lag)| Some(([(*name).to_owned()], lag.seen()?.as_secs_f64()));
        lags.iter().filter_map(seen).collect()
    });
}
