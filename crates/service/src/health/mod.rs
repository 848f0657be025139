//! Whether a process makes progress (`/healthz`) and whether it can do its work (`/readyz`, with the reasons).

mod checks;
mod liveness;
mod readiness;

pub use checks::{Checks, Required};
pub use liveness::{Heartbeat, Liveness};
pub use readiness::{NeedState, Readiness};

use axum::{Json, Router, http::StatusCode, routing::get};
use serde_json::{Value, json};

/// `GET /healthz` and `GET /readyz`: 200, or 503 with the reasons.
pub fn router<S: Clone + Send + Sync + 'static>(liveness: Liveness, readiness: Readiness) -> Router<S> {
    let healthz = move || async move {
        let stuck = liveness.stuck();
        answer(
            stuck.is_empty(),
            json!({"healthy": stuck.is_empty(), "stuck": stuck}),
        )
    };
    let readyz = move || async move {
        let (reasons, ready) = (readiness.reasons(), readiness.is_ready());
        answer(ready, json!({"ready": ready, "reasons": reasons}))
    };
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
}

fn answer(ok: bool, body: Value) -> (StatusCode, Json<Value>) {
    let status = if ok {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(body))
}
