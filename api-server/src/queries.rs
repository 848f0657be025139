//! GET and POST /queries, GET /read-queries: what was asked, by time.

use std::io;

use axum::{
    Router,
    body::Body,
    extract::{RawQuery, Request, State},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::{BufMut, Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use http::{HeaderMap, HeaderValue, header};
use schemars::JsonSchema;
use serde::Serialize;
use service::logs::Call;
use storage::{ReadQuery, Reads, StorageError};

use crate::{
    error::ApiError,
    request_body::{BodyRoom, SMALL_BODY},
    routing::only,
    wire::{
        body::Body as WireBody,
        dates::{Bound, Zone},
        declared::{Kind, Param},
        params::ParamReader,
        query::Query,
    },
};

const START_DATE: Param = Param::new(
    "start_timestamp",
    Kind::Plain,
    "2024-03-31T02:00:00",
    "The first second, in the service's time zone, or with an offset; a date alone is its first second.",
)
.required();
const END_DATE: Param = Param::new(
    "end_timestamp",
    Kind::Plain,
    "2030-01-01T00:00:00",
    "The last second; open without one. A date alone is its last second.",
);
const ANY: Kind = Kind::Integer(i64::MIN..=i64::MAX);
const START_SECOND: Param = Param::new(
    "start_timestamp",
    ANY,
    "1711843200",
    "The first second, in unix seconds.",
)
.required();
const END_SECOND: Param = Param::new(
    "end_timestamp",
    ANY,
    "1893456000",
    "The last second, in unix seconds; open without one.",
);
/// Parameters of GET /queries, and fields of POST /queries.
pub(crate) const BETWEEN_DATES: &[Param] = &[START_DATE, END_DATE];
/// Parameters of GET /read-queries.
pub(crate) const BETWEEN_SECONDS: &[Param] = &[START_SECOND, END_SECOND];

/// What is put before each query, which is stored without it.
const PREFIX: &str = "ArXiv Query: ";
const ATTACHMENT: HeaderValue = HeaderValue::from_static("attachment; filename=query_data.json");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// A part of an answer is sent when it is so long, in bytes: this, not the answer's length, is held in memory.
const CHUNK: usize = 16 * 1024;

/// What the endpoints need.
#[derive(Clone)]
pub(crate) struct QueryLog {
    pub(crate) reads: Reads,
    pub(crate) zone: Zone,
    pub(crate) room: BodyRoom,
}

pub(crate) fn frontend(log: QueryLog) -> Router {
    let methods = get(queries_get).post(queries_post);
    Router::new().route("/queries", only(methods, "GET, POST").with_state(log))
}

pub(crate) fn backend(log: QueryLog) -> Router {
    Router::new().route("/read-queries", only(get(read_queries), "GET").with_state(log))
}

async fn queries_get(State(log): State<QueryLog>, RawQuery(query): RawQuery) -> Result<Response, ApiError> {
    let dates = dates_of_query(&Query::parse(query.as_deref()));
    let mut response = log.between("queries_get", dates).await?;
    response
        .headers_mut()
        .insert(header::CONTENT_DISPOSITION, ATTACHMENT);
    Ok(response)
}

async fn queries_post(State(log): State<QueryLog>, request: Request) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let body = log.room.read(&parts.headers, body, SMALL_BODY).await?;
    let dates = dates_of_body(&parts.headers, &body.bytes)?;
    log.between("queries_post", dates).await
}

async fn read_queries(State(log): State<QueryLog>, RawQuery(query): RawQuery) -> Result<Response, ApiError> {
    let (start, end) = seconds_of_query(&Query::parse(query.as_deref()))?;
    let call = Call::new("read_queries")
        .arg("start_timestamp", start)
        .arg("end_timestamp", end);
    service::notice!(
        component = "backend",
        origin = "read_queries.read_queries",
        "{call}: called"
    );
    log.read(start, end).await
}

/// The parameters of /read-queries: from when to when, in seconds.
pub(crate) fn seconds_of_query(query: &Query) -> Result<(i64, Option<i64>), ApiError> {
    let mut reader = ParamReader::new(query);
    let start = reader.integer(&START_SECOND);
    let end = reader.integer(&END_SECOND);
    reader.finish()?;
    // The reader let nothing pass without a start.
    Ok((start.unwrap_or(i64::MIN), end))
}

/// The parameters of /queries as they were sent.
#[derive(Debug)]
pub(crate) struct Dates {
    start: Option<String>,
    end: Option<String>,
}

pub(crate) fn dates_of_query(query: &Query) -> Dates {
    let text = |param: &Param| query.last(param.name).map(|value| value.text.clone());
    Dates {
        start: text(&START_DATE),
        end: text(&END_DATE),
    }
}

pub(crate) fn dates_of_body(headers: &HeaderMap, bytes: &Bytes) -> Result<Dates, ApiError> {
    let [start, end] = WireBody::read(headers, bytes)?.texts([START_DATE.name, END_DATE.name])?;
    Ok(Dates { start, end })
}

impl Dates {
    /// From when to when, in seconds.
    pub(crate) fn seconds(&self, zone: Zone) -> Result<(i64, Option<i64>), ApiError> {
        let date = |name, text: &str, bound| {
            zone.parse(text, bound).ok_or_else(|| {
                ApiError::bad_parameter(format!(
                    "Invalid {name}: expected a date like 2024-03-31T02:00:00, also with Z or an offset like +02:00"
                ))
            })
        };
        let start = self.start.as_deref();
        let start =
            start.ok_or_else(|| ApiError::bad_parameter("Required parameter missing: start_timestamp"))?;
        let start = date(START_DATE.name, start, Bound::Start)?;
        let end = self.end.as_deref();
        let end = end.map(|end| date(END_DATE.name, end, Bound::End)).transpose()?;
        Ok((start, end))
    }
}

impl QueryLog {
    /// The queries between two dates.
    async fn between(&self, function: &'static str, dates: Dates) -> Result<Response, ApiError> {
        let call = Call::new(function)
            .arg("start_timestamp", dates.start.as_ref())
            .arg("end_timestamp", dates.end.as_ref());
        service::notice!(
            component = "frontend",
            origin = format!("queries.{function}"),
            "{call}: called"
        );
        let (start, end) = dates.seconds(self.zone)?;
        self.read(start, end).await
    }

    /// Sends rows as they come. An error before the first one is an answer of its own; a later one breaks the answer off.
    async fn read(&self, start: i64, end: Option<i64>) -> Result<Response, ApiError> {
        let call = Call::new("read_query_data")
            .arg("start_timestamp", start)
            .arg("end_timestamp", end);
        tracing::info!(
            component = "backend",
            origin = "read_queries.read_query_data",
            "{call}: called"
        );
        // Seconds that no date can be shown for are no date that was asked for.
        let (first, last) = self.zone.range();
        let last = end.unwrap_or(last).min(last);
        // Fused: it is asked once more after its end when there is no row at all.
        let mut rows = self.reads.queries(start.max(first), Some(last)).fuse();
        let before = rows.next().await.transpose()?;
        let rows = stream::iter(before.map(Ok)).chain(rows);
        let body = Body::from_stream(array(rows, self.zone));
        Ok(([(header::CONTENT_TYPE, JSON)], body).into_response())
    }
}

/// A row as clients see it.
#[derive(JsonSchema, Serialize)]
pub(crate) struct ShownQuery {
    query: String,
    timestamp: Option<String>,
    status: Option<i16>,
    num_results: Option<i32>,
}

impl ShownQuery {
    fn of(row: &ReadQuery, zone: Zone) -> Self {
        Self {
            query: PREFIX.to_owned() + row.query.as_deref().unwrap_or_default(),
            timestamp: zone.format(row.timestamp),
            status: row.status,
            num_results: row.num_results,
        }
    }
}

/// A JSON array of the rows, in chunks.
fn array(
    rows: impl Stream<Item = Result<ReadQuery, StorageError>> + Send + 'static,
    zone: Zone,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    struct Writing<S> {
        rows: S,
        buffer: BytesMut,
        any: bool,
    }
    let start = Writing {
        rows: Box::pin(rows),
        buffer: BytesMut::from(&b"["[..]),
        any: false,
    };
    stream::try_unfold(Some(start), move |state| async move {
        let Some(mut state) = state else { return Ok(None) };
        loop {
            let Some(row) = state.rows.next().await else {
                state.buffer.put_u8(b']');
                return Ok(Some((state.buffer.freeze(), None)));
            };
            let row = row.inspect_err(|error| {
                tracing::warn!(
                    error = error as &dyn std::error::Error,
                    "an answer of queries is broken off"
                );
            });
            let row = row.map_err(io::Error::other)?;
            if state.any {
                state.buffer.put_u8(b',');
            }
            state.any = true;
            serde_json::to_writer((&mut state.buffer).writer(), &ShownQuery::of(&row, zone))
                .map_err(io::Error::from)?;
            if state.buffer.len() >= CHUNK {
                let chunk = state.buffer.split().freeze();
                return Ok(Some((chunk, Some(state))));
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(timestamp: i64, query: Option<&str>) -> ReadQuery {
        ReadQuery {
            query: query.map(str::to_owned),
            timestamp,
            status: Some(200),
            num_results: None,
        }
    }

    async fn written(rows: Vec<Result<ReadQuery, StorageError>>) -> Vec<io::Result<Bytes>> {
        array(stream::iter(rows), Zone::new(2).unwrap()).collect().await
    }

    #[tokio::test]
    async fn rows_are_an_array() {
        let rows = vec![Ok(row(1_711_843_200, Some("a"))), Ok(row(1_711_846_800, None))];
        let chunks = written(rows).await;
        let text: Vec<u8> = chunks
            .into_iter()
            .flat_map(|chunk| chunk.unwrap().to_vec())
            .collect();
        let shown: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(
            shown,
            serde_json::json!([
                {"query": "ArXiv Query: a", "timestamp": "2024-03-31T02:00:00", "status": 200, "num_results": null},
                {"query": "ArXiv Query: ", "timestamp": "2024-03-31T03:00:00", "status": 200, "num_results": null},
            ])
        );
        assert_eq!(written(vec![]).await.remove(0).unwrap(), "[]");
    }

    #[tokio::test]
    async fn a_long_answer_comes_in_parts_and_a_broken_one_never_ends() {
        let long = "x".repeat(CHUNK / 2);
        let rows = || (0..6).map(|_| Ok(row(0, Some(&long)))).collect::<Vec<_>>();
        assert!(written(rows()).await.len() >= 3);
        let mut broken = rows();
        broken.push(Err(StorageError::TimedOut));
        let chunks = written(broken).await;
        assert!(chunks.last().unwrap().is_err());
        assert!(chunks.iter().flatten().all(|chunk| !chunk.ends_with(b"]")));
    }
}
