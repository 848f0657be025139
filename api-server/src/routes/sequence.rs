//! GET /get-sequence: the next number.

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::Serialize;
use service::logs::Call;
use storage::Sequence;

use crate::{error::ApiError, http::middleware::CallLog};

#[derive(JsonSchema, Serialize)]
pub(crate) struct SequenceBody {
    sequence: i64,
}

pub(crate) async fn get_sequence(
    State(sequence): State<Sequence>,
    log: CallLog,
) -> Result<Json<SequenceBody>, ApiError> {
    log.called(Call::new("get_sequence"));
    let next = Call::new("next").run("backend", "get_sequence", sequence.next(), |next| *next);
    let sequence = next.await?;
    Ok(Json(SequenceBody { sequence }))
}
