//! Whether a process makes progress (`/healthz`) and whether it can do its work (`/readyz`, with the reasons).

mod checks;
mod liveness;
mod readiness;

pub use checks::{Checks, Required};
pub use liveness::{Heartbeat, Liveness};
pub use readiness::{NeedState, Readiness};

use axum::{Json, Router, http::StatusCode, routing::get};
use serde_json::json;

/// `GET /healthz` and `GET /readyz`: 200, or 503 with the reasons.
pub fn router<S: Clone + Send + Sync + 'static>(liveness: Liveness, readiness: Readiness) -> Router<S> {
    let healthz = move || async move {
        let stuck = liveness.stuck();
        let status = if stuck.is_empty() {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        (status, Json(json!({"healthy": stuck.is_empty(), "stuck": stuck})))
    };
    let readyz = move || async move {
        let reasons = readiness.reasons();
        let ready = readiness.is_ready();
        let status = if ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        (status, Json(json!({"ready": ready, "reasons": reasons})))
    };
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
}
