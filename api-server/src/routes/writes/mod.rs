//! GET /get-sequence, POST /write-queries and POST /write-results: numbers, and records of clients that bring their own
//! number.

mod columns;

use std::{fmt, ops::RangeInclusive};

use axum::{Json, extract::State};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use service::logs::Call;
use storage::{QueryRow, Sequence, WriteOutcome, Writes};
use wire::{body, field_error::FieldError};

use crate::{
    error::{ApiError, Code},
    http::middleware::CallLog,
    limits::request_body::{RESULTS_BODY, SMALL_BODY},
    limits::slots::Slot,
    openapi::Operation,
    routes::request::{Incoming, Input, ReadRequest},
    routes::writes::columns::{BIGINT, INTEGER, ResultsBody, SMALLINT},
};

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

/// The body of POST /write-queries.
#[derive(Debug)]
pub(crate) struct QueryRecord(QueryRow);

impl ReadRequest for QueryRecord {
    async fn read(mut request: Incoming) -> Result<Self, ApiError> {
        let body = body::object(request.json(SMALL_BODY).await?)?;
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

impl ReadRequest for ResultRecords {
    async fn read(mut request: Incoming) -> Result<Self, ApiError> {
        let body = request.body(RESULTS_BODY).await?;
        let Incoming { parts, context, .. } = request;
        let slot = if body.bytes.len() > SMALL_BODY.bytes {
            let slot = context.limits.long_bodies.acquire(parts.extensions.get()).await;
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
    State(writes): State<Writes>,
    log: CallLog,
    Input(QueryRecord(row)): Input<QueryRecord>,
) -> Result<Saved, ApiError> {
    let call = Call::new("write_queries")
        .arg("query_id", row.query_id)
        .arg("timestamp", row.timestamp)
        .arg("status", row.status)
        .arg("num_results", row.num_results)
        .arg("num_entries", row.num_entries)
        .arg("query", &row.query);
    log.called(call);
    let call = Call::new("query").arg("query_id", row.query_id);
    let write = call.run("backend", "write_queries", writes.query(&row), shown);
    answer(write.await?, row.query_id, "Query record saved successfully")
}

pub(crate) async fn write_results(
    State(writes): State<Writes>,
    log: CallLog,
    Input(records): Input<ResultRecords>,
) -> Result<Saved, ApiError> {
    let body = &records.body;
    let call = Call::new("write_results")
        .arg("query_id", body.query_id)
        .arg("timestamp", body.timestamp)
        .arg("len(results)", body.rows.len());
    log.called(call);
    let call = Call::new("results").arg("query_id", body.query_id);
    let write = writes.results(body.query_id, body.timestamp, &body.rows);
    let write = call.run("backend", "write_results", write, shown);
    answer(write.await?, body.query_id, "Result records saved successfully")
}

fn shown(outcome: &impl fmt::Debug) -> String {
    format!("{outcome:?}")
}

/// The same content again is answered as it was the first time.
fn answer(outcome: WriteOutcome, query_id: i64, message: &str) -> Result<Saved, ApiError> {
    match outcome {
        WriteOutcome::Written | WriteOutcome::AlreadyThere => {
            Ok((StatusCode::CREATED, Json(json!({ "message": message }))))
        }
        WriteOutcome::Conflict => Err(conflict(query_id)),
    }
}

fn conflict(query_id: i64) -> ApiError {
    ApiError::new(
        Code::Conflict,
        format!("query_id {query_id} is taken by other content"),
    )
}

pub(crate) fn describe_sequence(operation: Operation<'_>) -> Operation<'_> {
    operation
        .named("get_sequence", "backend", "The next number")
        .response(200, "The number.")
        .json::<SequenceBody>(json!({"sequence": 17}))
        .unavailable(Code::DatabaseUnavailable)
}

pub(crate) fn describe_queries(mut operation: Operation<'_>) -> Operation<'_> {
    let schema = json!({
        "type": "object",
        "required": ["query_id", "timestamp", "status", "num_results", "num_entries", "query"],
        "properties": {
            "query_id": integer(&BIGINT), "timestamp": integer(&BIGINT), "status": integer(&SMALLINT),
            "num_results": integer(&INTEGER), "num_entries": integer(&SMALLINT), "query": text(),
        },
    });
    let schema = operation.named_schema("QueryRecord", schema);
    let example = json!({
        "query_id": 17, "timestamp": 1_711_843_200, "status": 200, "num_results": 1234, "num_entries": 1,
        "query": "search_query=au:knuth&id_list=&start=0&max_results=1",
    });
    operation
        .named("write_queries", "backend", "Record one query")
        .body(schema, example)
        .saved("Query record saved successfully")
}

pub(crate) fn describe_results(mut operation: Operation<'_>) -> Operation<'_> {
    let item = json!({
        "type": "object", "required": ["authors", "title", "journal"],
        "properties": {"authors": text(), "title": text(), "journal": text()},
    });
    let schema = json!({
        "type": "object", "required": ["query_id", "timestamp", "results"],
        "properties": {
            "query_id": integer(&BIGINT), "timestamp": integer(&BIGINT),
            "results": {"type": "array", "maxItems": crd::fields::MAX_RESULTS, "items": item},
        },
    });
    let schema = operation.named_schema("ResultRecords", schema);
    let example = json!({
        "query_id": 17, "timestamp": 1_711_843_200,
        "results": [{"authors": "Donald E. Knuth", "title": "Two notes on notation", "journal": ""}],
    });
    operation
        .named("write_results", "backend", "Record what one query found")
        .body(schema, example)
        .saved("Result records saved successfully")
}

impl Operation<'_> {
    fn saved(self, message: &str) -> Self {
        let schema = json!({"type": "object", "required": ["message"], "properties": {"message": text()}});
        self.about("The same content once more is as good as the first time.")
            .response(201, "It is recorded.")
            .content("application/json", schema, json!({ "message": message }))
            .invalid(FieldError::missing(&["body".into(), "query_id".into()]))
            .error("The number has other content.", &conflict(17))
            .unavailable(Code::DatabaseUnavailable)
    }
}

fn integer(range: &RangeInclusive<i64>) -> Value {
    json!({"type": "integer", "minimum": range.start(), "maximum": range.end()})
}

/// Any text that Postgres can store.
fn text() -> Value {
    json!({"type": "string", "pattern": "^[^\\u0000]*$"})
}
