//! POST /write-queries and POST /write-results: records of clients that bring their own number.

pub(crate) mod columns;

use axum::{
    Json,
    extract::{FromRef, FromRequest, Request, State},
};
use http::StatusCode;
use serde_json::{Value, json};
use service::logs::Call;
use storage::{QueryRow, WriteOutcome, Writes};
use wire::{body, declared::Param};

use crate::{
    error::{ApiError, Code},
    http::middleware::CallLog,
    limits::request_body::{RESULTS_BODY, SMALL_BODY},
    limits::slots::Slot,
    routes::context::RequestContext,
    routes::route::Declared,
    routes::writes::columns::ResultsBody,
};

/// What the endpoints need.
#[derive(Clone)]
pub(crate) struct WriteEndpoints {
    pub(crate) writes: Writes,
    pub(crate) context: RequestContext,
}

impl FromRef<WriteEndpoints> for RequestContext {
    fn from_ref(endpoints: &WriteEndpoints) -> Self {
        endpoints.context.clone()
    }
}

/// The body of POST /write-queries.
#[derive(Debug)]
pub(crate) struct QueryRecord(QueryRow);

impl Declared for QueryRecord {
    const PARAMS: &'static [&'static [Param]] = &[];
}

impl<S> FromRequest<S> for QueryRecord
where
    S: Sync,
    RequestContext: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let context = RequestContext::from_ref(state);
        let (parts, body) = context.read_body(request, SMALL_BODY).await?;
        let body = body::object(body::read(&parts.headers, &body.bytes)?)?;
        Ok(Self(columns::query_row(&body)?))
    }
}

/// The body of POST /write-results.
#[derive(Debug)]
pub(crate) struct ResultRecords {
    body: ResultsBody,
    /// For a long body; held until its rows are recorded.
    _slot: Option<Slot>,
}

impl Declared for ResultRecords {
    const PARAMS: &'static [&'static [Param]] = &[];
}

impl<S> FromRequest<S> for ResultRecords
where
    S: Sync,
    RequestContext: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let context = RequestContext::from_ref(state);
        let (parts, body) = context.read_body(request, RESULTS_BODY).await?;
        let slot = if body.bytes.len() > SMALL_BODY.bytes {
            let slot = context.long_bodies.acquire(parts.extensions.get()).await;
            Some(slot.ok_or_else(|| ApiError::unavailable(Code::Overloaded))?)
        } else {
            None
        };
        let parse = move || -> Result<ResultsBody, ApiError> {
            let body = body::object(body::read(&parts.headers, &body.bytes)?)?;
            Ok(columns::results(&body)?)
        };
        // Up to 32 MiB to be parsed: not on a thread that other requests wait for.
        let parsed = tokio::task::spawn_blocking(parse).await;
        let body = parsed.map_err(|_| ApiError::internal())??;
        Ok(Self { body, _slot: slot })
    }
}

type Saved = (StatusCode, Json<Value>);

pub(crate) async fn write_queries(
    State(WriteEndpoints { writes, .. }): State<WriteEndpoints>,
    log: CallLog,
    QueryRecord(row): QueryRecord,
) -> Result<Saved, ApiError> {
    let call = Call::new("write_queries")
        .arg("query_id", row.query_id)
        .arg("timestamp", row.timestamp)
        .arg("status", row.status)
        .arg("num_results", row.num_results)
        .arg("num_entries", row.num_entries)
        .arg("query", &row.query);
    log.called(call);
    let write = writes.query(&row);
    let write =
        Call::new("query")
            .arg("query_id", row.query_id)
            .run("backend", "write_queries", write, |outcome| {
                format!("{outcome:?}")
            });
    let outcome = write.await?;
    answer(outcome, row.query_id, "Query record saved successfully")
}

pub(crate) async fn write_results(
    State(WriteEndpoints { writes, .. }): State<WriteEndpoints>,
    log: CallLog,
    records: ResultRecords,
) -> Result<Saved, ApiError> {
    let body = &records.body;
    let call = Call::new("write_results")
        .arg("query_id", body.query_id)
        .arg("timestamp", body.timestamp)
        .arg("len(results)", body.rows.len());
    log.called(call);
    let write = writes.results(body.query_id, body.timestamp, &body.rows);
    let write = Call::new("results").arg("query_id", body.query_id).run(
        "backend",
        "write_results",
        write,
        |outcome| format!("{outcome:?}"),
    );
    let outcome = write.await?;
    answer(outcome, body.query_id, "Result records saved successfully")
}

/// The same content again is answered as it was the first time.
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
