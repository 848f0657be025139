//! The metrics of connections and requests.

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};
use service::metrics::Metrics;
use tokio::time::Instant;

/// From a stored page's milliseconds to a wait at its limit, in seconds.
const DURATIONS: [f64; 12] = [
    0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 3.0, 10.0, 30.0, 60.0,
];
/// Every other one has the label "other", whatever clients send.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Labels with few values each.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RequestLabels {
    /// The path of the route, such as `/arxiv/{name}`.
    endpoint: String,
    method: &'static str,
    status: u16,
}

type EndpointLabel = [(&'static str, String); 1];

/// The handles that count.
#[derive(Clone)]
pub(crate) struct HttpMetrics {
    requests: Family<RequestLabels, Counter>,
    durations: Family<EndpointLabel, Histogram, fn() -> Histogram>,
    pub(crate) connections: Gauge,
}

impl HttpMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let durations = Family::new_with_constructor((|| Histogram::new(DURATIONS)) as fn() -> Histogram);
        let duration = "From a request's head to its answer's head";
        metrics
            .register(|registry| registry.register("request_duration_seconds", duration, durations.clone()));
        Self {
            requests: metrics.add("requests", "Requests answered"),
            durations,
            connections: metrics.add("connections", "Open client connections"),
        }
    }
}

/// Counts and times a request.
pub(super) async fn record(State(metrics): State<HttpMetrics>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let mut methods = METHODS.into_iter();
    let method = methods.find(|name| request.method() == name).unwrap_or("other");
    let path = request.extensions().get::<MatchedPath>();
    let endpoint = path.map_or("other", MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    let duration = started.elapsed().as_secs_f64();
    let label = [("endpoint", endpoint.clone())];
    metrics.durations.get_or_create(&label).observe(duration);
    let labels = RequestLabels {
        endpoint,
        method,
        status: response.status().as_u16(),
    };
    metrics.requests.get_or_create(&labels).inc();
    response
}
