//! GET /get-sequence: the next number.

use axum::{Json, Router, extract::State, middleware::map_response, routing::get};
use schemars::JsonSchema;
use serde::Serialize;
use service::logs::Call;
use storage::Sequence;

use crate::{
    error::ApiError,
    http::middleware::calls::CallLog,
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

async fn get_sequence(
    State(sequence): State<Sequence>,
    log: CallLog,
) -> Result<Json<SequenceBody>, ApiError> {
    log.called(Call::new("get_sequence"));
    let next = Call::new("next").run("backend", "get_sequence", sequence.next(), |next| *next);
    let sequence = next.await?;
    Ok(Json(SequenceBody { sequence }))
}
