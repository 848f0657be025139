//! GET /get-sequence: the next number.

use axum::{Json, Router, extract::State, middleware::map_response, routing::get};
use schemars::JsonSchema;
use serde::Serialize;
use service::logs::Call;
use storage::Sequence;

use crate::{
    error::ApiError,
    http::middleware::methods::{no_store, only},
    http::middleware::unknown_params::strict,
};

#[derive(JsonSchema, Serialize)]
pub(crate) struct SequenceBody {
    sequence: i64,
}

pub(crate) fn routes(sequence: Sequence) -> Router {
    let methods = strict(only(get(get_sequence), "GET"), &[]);
    Router::new().route(
        "/get-sequence",
        methods.layer(map_response(no_store)).with_state(sequence),
    )
}

async fn get_sequence(State(sequence): State<Sequence>) -> Result<Json<SequenceBody>, ApiError> {
    let call = Call::new("get_sequence");
    service::notice!(
        component = "backend",
        origin = "get_sequence.get_sequence",
        "{call}: called"
    );
    tracing::info!(
        component = "backend",
        origin = "get_sequence.next",
        "next(): called"
    );
    let next = sequence.next().await?;
    tracing::debug!(
        component = "backend",
        origin = "get_sequence.get_sequence",
        "{call}: returning {next}"
    );
    Ok(Json(SequenceBody { sequence: next }))
}
