//! `/metrics` in the `OpenMetrics` text format, and how things in use and lookups in caches are counted.

use axum::{
    Router,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};

pub use ::metrics::{Durations, Metrics};

/// The media type of the response.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

fn answer(metrics: &Metrics) -> Response {
    match metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// `GET /metrics`.
pub fn router<S: Clone + Send + Sync + 'static>(metrics: Metrics) -> Router<S> {
    Router::new().route("/metrics", get(move || async move { answer(&metrics) }))
}

/// The lookups in all caches of a process.
#[derive(Clone, Debug)]
pub struct Caches(Family<[(&'static str, &'static str); 2], Counter>);

impl Caches {
    /// Adds them to the metrics.
    pub fn register(metrics: &Metrics) -> Self {
        Self(metrics.add(
            "cache_lookups",
            &["cache", "result"],
            "Lookups in caches of this process, by cache (tokens: whose they are; rights: of their users; queries: objects \
             that were just read) and result: hit, miss",
        ))
    }

    /// The counters of one cache.
    pub fn of(&self, cache: &'static str) -> CacheLookups {
        let counter = |result| {
            self.0
                .get_or_create(&[("cache", cache), ("result", result)])
                .clone()
        };
        CacheLookups {
            hits: counter("hit"),
            misses: counter("miss"),
        }
    }
}

/// Counts the lookups in one cache.
#[derive(Clone, Debug, Default)]
pub struct CacheLookups {
    hits: Counter,
    misses: Counter,
}

impl CacheLookups {
    /// Counts one lookup.
    pub fn count(&self, is_hit: bool) {
        if is_hit { &self.hits } else { &self.misses }.inc();
    }
}

/// Counts in a gauge as long as it lives.
#[derive(Debug)]
pub struct GaugeGuard(Gauge);

impl GaugeGuard {
    /// Counts one more.
    pub fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}
