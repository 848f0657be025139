//! How long requests to arXiv and waits at the gate take, and how often a stored page is used instead.

use std::sync::LazyLock;
use std::time::Duration;

use arxiv::{FailureClass, FetchError};
use metrics::{Durations, Metrics};
use prometheus_client::metrics::{counter::Counter, family::Family};

/// From a fast answer of arXiv to the longest wait at the gate, in seconds.
const BUCKETS: [f64; 9] = [0.03, 0.1, 0.3, 1.0, 3.0, 6.0, 10.0, 20.0, 60.0];

static REQUESTS: LazyLock<Durations<1>> = LazyLock::new(|| Durations::new(["outcome"], &BUCKETS));
static GATE_WAITS: LazyLock<Durations<2>> = LazyLock::new(|| Durations::new(["step", "outcome"], &BUCKETS));
static LOOKUPS: LazyLock<Family<[(&'static str, &'static str); 1], Counter>> = LazyLock::new(Family::default);

/// Adds the metrics of this process's requests.
pub fn register_metrics(metrics: &Metrics) {
    metrics.register(
        "arxiv_request_duration_seconds",
        &["outcome"],
        "Requests to arXiv in seconds, by outcome: answered, invalid, throttled, unreachable, broken",
        &*REQUESTS,
    );
    metrics.register(
        "gate_wait_duration_seconds",
        &["step", "outcome"],
        "Waits at the gate in seconds, by step (turn: for the lock; slot: for the time of the request) and outcome: ok, \
         failed",
        &*GATE_WAITS,
    );
    // Prometheus would not see the first one as an increase.
    for result in ["hit", "miss"] {
        let _ = LOOKUPS.get_or_create(&[("result", result)]);
    }
    metrics.register(
        "page_lookups",
        &["result"],
        "Lookups of stored pages before a request to arXiv, by result: hit, miss",
        &*LOOKUPS,
    );
}

pub(crate) fn requested<T>(fetched: &Result<T, FetchError>, duration: Duration) {
    let outcome = match fetched.as_ref().map_err(FetchError::class) {
        Ok(_) => "answered",
        Err(FailureClass::Invalid) => "invalid",
        Err(FailureClass::Throttled) => "throttled",
        Err(FailureClass::Unreachable) => "unreachable",
        Err(FailureClass::Broken) => "broken",
    };
    REQUESTS.observe([outcome], duration);
}

pub(crate) fn waited<T, E>(step: &'static str, waited: &Result<T, E>, duration: Duration) {
    let outcome = if waited.is_ok() { "ok" } else { "failed" };
    GATE_WAITS.observe([step, outcome], duration);
}

pub(crate) fn looked_up(found: bool) {
    let result = if found { "hit" } else { "miss" };
    LOOKUPS.get_or_create(&[("result", result)]).inc();
}
