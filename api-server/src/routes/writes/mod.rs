//! POST /write-queries and POST /write-results: records of clients that bring their own number.

pub(crate) mod columns;

use axum::{
    Json, Router,
    extract::{Request, State},
    routing::post,
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use service::logs::Call;
use storage::{QueryRow, WriteOutcome, Writes};

use crate::{
    error::{ApiError, Code},
    http::middleware::calls::CallLog,
    http::middleware::methods::only,
    limits::{
        ProcessLimits,
        request_body::{RESULTS_BODY, SMALL_BODY},
    },
    routes::writes::columns::ResultsBody,
};
use wire::body::Body as WireBody;

/// What the endpoints need.
#[derive(Clone)]
pub(crate) struct Recording {
    writes: Writes,
    limits: ProcessLimits,
}

impl Recording {
    pub(crate) fn new(writes: Writes, limits: ProcessLimits) -> Self {
        Self { writes, limits }
    }
}

pub(crate) fn queries(recording: Recording) -> Router {
    Router::new().route(
        "/write-queries",
        only(post(write_queries), "POST").with_state(recording),
    )
}

pub(crate) fn results(recording: Recording) -> Router {
    Router::new().route(
        "/write-results",
        only(post(write_results), "POST").with_state(recording),
    )
}

type Saved = (StatusCode, Json<Value>);

async fn write_queries(
    State(recording): State<Recording>,
    log: CallLog,
    request: Request,
) -> Result<Saved, ApiError> {
    let (parts, body) = request.into_parts();
    let body = recording
        .limits
        .request_bodies
        .read(parts.extensions.get(), &parts.headers, body, SMALL_BODY)
        .await?;
    let row = query_row(&parts.headers, &body.bytes)?;
    let call = Call::new("write_queries")
        .arg("query_id", row.query_id)
        .arg("timestamp", row.timestamp)
        .arg("status", row.status)
        .arg("num_results", row.num_results)
        .arg("num_entries", row.num_entries)
        .arg("query", &row.query);
    log.called(call);
    let write = recording.writes.query(&row);
    let write =
        Call::new("query")
            .arg("query_id", row.query_id)
            .run("backend", "write_queries", write, |outcome| {
                format!("{outcome:?}")
            });
    let outcome = write.await?;
    answer(outcome, row.query_id, "Query record saved successfully")
}

async fn write_results(
    State(recording): State<Recording>,
    log: CallLog,
    request: Request,
) -> Result<Saved, ApiError> {
    let (parts, body) = request.into_parts();
    let body = recording
        .limits
        .request_bodies
        .read(parts.extensions.get(), &parts.headers, body, RESULTS_BODY)
        .await?;
    // Held until the rows are recorded.
    let _slot = if body.bytes.len() > SMALL_BODY.bytes {
        let slot = recording.limits.long_bodies.acquire(parts.extensions.get()).await;
        Some(slot.ok_or_else(|| ApiError::unavailable(Code::Overloaded))?)
    } else {
        None
    };
    // Up to 32 MiB to be parsed: not on a thread that others' requests wait for.
    let headers = parts.headers;
    let body = tokio::task::spawn_blocking(move || results_body(&headers, &body.bytes))
        .await
        .map_err(|_| ApiError::internal())??;
    let call = Call::new("write_results")
        .arg("query_id", body.query_id)
        .arg("timestamp", body.timestamp)
        .arg("len(results)", body.rows.len());
    log.called(call);
    let write = recording
        .writes
        .results(body.query_id, body.timestamp, &body.rows);
    let write = Call::new("results").arg("query_id", body.query_id).run(
        "backend",
        "write_results",
        write,
        |outcome| format!("{outcome:?}"),
    );
    let outcome = write.await?;
    answer(outcome, body.query_id, "Result records saved successfully")
}

pub(crate) fn query_row(headers: &HeaderMap, bytes: &Bytes) -> Result<QueryRow, ApiError> {
    Ok(columns::query_row(
        &WireBody::read(headers, bytes)?.into_object()?,
    )?)
}

pub(crate) fn results_body(headers: &HeaderMap, bytes: &Bytes) -> Result<ResultsBody, ApiError> {
    Ok(columns::results(&WireBody::read(headers, bytes)?.into_object()?)?)
}

/// The same content once more is as good as the first time.
fn answer(outcome: WriteOutcome, query_id: i64, message: &str) -> Result<Saved, ApiError> {
    match outcome {
        WriteOutcome::Written | WriteOutcome::AlreadyThere => {
            Ok((StatusCode::CREATED, Json(json!({ "message": message }))))
        }
        WriteOutcome::Conflict => {
            let text = format!("query_id {query_id} is taken by other content");
            Err(ApiError::new(Code::Conflict, text))
        }
    }
}
