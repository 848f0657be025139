//! The metrics of connections and requests.

use std::{ops::ControlFlow, sync::Arc};

use axum::{
    extract::{MatchedPath, Request},
    response::Response,
};
use http::Method;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};
use service::metrics::Metrics;
use tokio::time::Instant;

use crate::{
    error::{ApiError, Code},
    http::middleware::around::Middleware,
};

/// From a stored page's milliseconds to a wait at its limit, in seconds.
const DURATIONS: [f64; 12] = [
    0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 3.0, 10.0, 30.0, 60.0,
];
/// Every other one has the label "other", whatever clients send.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// One of few names, whatever clients send.
pub(super) fn method_name(method: &Method) -> &'static str {
    let mut methods = METHODS.into_iter();
    methods.find(|name| method == name).unwrap_or("other")
}

/// Failures that are neither a client's nor arXiv's, which alerts count.
const FAILURES: [Code; 6] = [
    Code::DatabaseFailed,
    Code::DatabaseUnavailable,
    Code::KubernetesUnavailable,
    Code::NotReplicated,
    Code::Overloaded,
    Code::Internal,
];

/// Labels with few values each.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RequestLabels {
    /// The path of the route, such as `/arxiv/{name}`.
    endpoint: String,
    method: &'static str,
    status: u16,
}

type EndpointLabel = [(&'static str, String); 1];

/// The labels of an answer that is an error.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ErrorLabels {
    endpoint: String,
    status: u16,
    /// As in docs/errors.md.
    code: &'static str,
}

/// The handles that count.
#[derive(Clone)]
pub(crate) struct HttpMetrics {
    requests: Family<RequestLabels, Counter>,
    errors: Family<ErrorLabels, Counter>,
    durations: Family<EndpointLabel, Histogram, fn() -> Histogram>,
    pub(crate) connections: Gauge,
}

impl HttpMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let durations = Family::new_with_constructor((|| Histogram::new(DURATIONS)) as fn() -> Histogram);
        let duration = "From a request's head to its answer's head, by route";
        metrics.register("request_duration_seconds", &["endpoint"], duration, &durations);
        Self {
            requests: metrics.add(
                "requests",
                &["endpoint", "method", "status"],
                "Requests answered, by route (`other` for paths that are none), method and status",
            ),
            errors: metrics.add(
                "error_responses",
                &["endpoint", "status", "code"],
                "Requests answered with an error, by route, status and error code (see errors.md)",
            ),
            durations,
            connections: metrics.add("connections", &[], "Open client connections"),
        }
    }

    /// Begins to count the failures of these routes at 0: Prometheus would not see the first one as an increase.
    pub(crate) fn begin(&self, paths: &[&'static str]) {
        for path in paths {
            for code in FAILURES {
                let labels = ErrorLabels {
                    endpoint: (*path).to_owned(),
                    status: code.status().as_u16(),
                    code: code.as_str(),
                };
                let _ = self.errors.get_or_create(&labels);
            }
        }
    }
}

/// A request whose response is not there yet.
pub(crate) struct Started {
    at: Instant,
    method: &'static str,
    path: Option<MatchedPath>,
}

/// Counts and times each request.
impl Middleware for HttpMetrics {
    type Kept = Started;

    fn before(&self, request: &mut Request) -> ControlFlow<Response, Started> {
        ControlFlow::Continue(Started {
            at: Instant::now(),
            method: method_name(request.method()),
            path: request.extensions().get().cloned(),
        })
    }

    fn after(&self, started: Started, response: Response) -> Response {
        let duration = started.at.elapsed().as_secs_f64();
        let endpoint = started.path.as_ref().map_or("other", MatchedPath::as_str);
        let label = [("endpoint", endpoint.to_owned())];
        self.durations.get_or_create(&label).observe(duration);
        let [(_, endpoint)] = label;
        let status = response.status().as_u16();
        if let Some(error) = response.extensions().get::<Arc<ApiError>>() {
            let labels = ErrorLabels {
                endpoint: endpoint.clone(),
                status,
                code: error.code().as_str(),
            };
            self.errors.get_or_create(&labels).inc();
        }
        let labels = RequestLabels {
            endpoint,
            method: started.method,
            status,
        };
        self.requests.get_or_create(&labels).inc();
        response
    }
}
