//! GET and POST /queries, GET /read-queries: what was asked, by time.

use axum::{
    Extension, Router,
    extract::{RawQuery, Request, State},
    middleware::{from_fn, from_fn_with_state, map_response},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use schemars::JsonSchema;
use serde::Serialize;
use service::logs::Call;
use storage::{QueryFilter, QueryLogEntry, Reads};

use crate::{
    error::ApiError,
    http::middleware::calls::CallLog,
    http::middleware::compress::compress,
    http::middleware::methods::only,
    http::middleware::unknown_params::strict,
    limits::client::Client,
    limits::request_body::{BodyBudget, SMALL_BODY},
    limits::response_memory::ResponseBudget,
    output::body::RowEncoder,
    output::filter::{STATUS, TEXT, query_filter},
    output::format::{FORMAT_OF_QUERIES, Format, OF_QUERIES},
    output::{csv, lag},
};
use wire::{
    body::Body as WireBody,
    dates::{RangeEnd, Zone},
    declared::{Param, ParamKind},
    params::ParamReader,
    query::QueryString,
};

const START_DATE: Param = Param::new(
    "start_timestamp",
    ParamKind::Date,
    "2024-03-31T02:00:00",
    "The first second, in the service's time zone, or with an offset; a date alone is its first second.",
)
.required();
const END_DATE: Param = Param::new(
    "end_timestamp",
    ParamKind::Date,
    "2030-01-01T00:00:00",
    "The last second; open without one. A date alone is its last second.",
);
const ANY: ParamKind = ParamKind::Integer(i64::MIN..=i64::MAX);
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
/// Further parameters of GET /queries and /read-queries.
pub(crate) const WANTED: &[Param] = &[STATUS, TEXT, FORMAT_OF_QUERIES];
/// Parameters of GET /read-queries.
pub(crate) const BETWEEN_SECONDS: &[Param] = &[START_SECOND, END_SECOND];

/// What is put before each query, which is stored without it.
const PREFIX: &str = "ArXiv QueryString: ";
const ATTACHMENT: HeaderValue = HeaderValue::from_static("attachment; filename=query_data.json");

/// What the endpoints need.
#[derive(Clone)]
pub(crate) struct QueryLog {
    pub(crate) reads: Reads,
    pub(crate) zone: Zone,
    pub(crate) request_bodies: BodyBudget,
    pub(crate) lag: lag::Lag,
    pub(crate) responses: ResponseBudget,
}

pub(crate) fn frontend(log: QueryLog) -> Router {
    let methods = get(queries_get).post(queries_post);
    routes(
        "/queries",
        strict(only(methods, "GET, POST"), &[BETWEEN_DATES, WANTED]),
        log,
    )
}

pub(crate) fn backend(log: QueryLog) -> Router {
    let methods = only(get(read_queries), "GET");
    routes("/read-queries", strict(methods, &[BETWEEN_SECONDS, WANTED]), log)
}

fn routes(path: &str, methods: MethodRouter<QueryLog>, log: QueryLog) -> Router {
    Router::new().route(
        path,
        methods
            .layer(from_fn(compress))
            .layer(map_response(crate::http::middleware::methods::by_accept))
            .layer(from_fn_with_state(log.lag.clone(), lag::add_header))
            .with_state(log),
    )
}

async fn queries_get(
    State(log): State<QueryLog>,
    RawQuery(query): RawQuery,
    Extension(client): Extension<Client>,
    calls: CallLog,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let query = QueryString::parse(query.as_deref());
    let wanted = Wanted::of_query(&query, &headers)?;
    let is_json = wanted.format == Format::Json;
    let dates = dates_of_query(&query);
    calls.called(dates.call("queries_get"));
    let mut response = log.between(dates, wanted, &client).await?;
    if is_json {
        response
            .headers_mut()
            .insert(header::CONTENT_DISPOSITION, ATTACHMENT);
    }
    Ok(response)
}

async fn queries_post(
    State(log): State<QueryLog>,
    Extension(client): Extension<Client>,
    calls: CallLog,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let body = log
        .request_bodies
        .read(Some(&client), &parts.headers, body, SMALL_BODY)
        .await?;
    let dates = dates_of_body(&parts.headers, &body.bytes)?;
    // Releases its memory before waiting for memory for the response.
    drop(body);
    calls.called(dates.call("queries_post"));
    log.between(dates, Wanted::default(), &client).await
}

async fn read_queries(
    State(log): State<QueryLog>,
    RawQuery(query): RawQuery,
    Extension(client): Extension<Client>,
    calls: CallLog,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let query = QueryString::parse(query.as_deref());
    let (start, end) = seconds_of_query(&query)?;
    let wanted = Wanted::of_query(&query, &headers)?;
    let call = Call::new("read_queries")
        .arg("start_timestamp", start)
        .arg("end_timestamp", end);
    calls.called(call);
    log.read(start, end, wanted, &client).await
}

/// Which queries a caller wants beside the time, and in which form: `status`, `text` (words, as of results), `format`.
#[derive(Debug)]
pub(crate) struct Wanted {
    filter: QueryFilter,
    format: Format,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            filter: QueryFilter::default(),
            format: Format::Json,
        }
    }
}

impl Wanted {
    pub(crate) fn of_query(query: &QueryString, headers: &HeaderMap) -> Result<Self, ApiError> {
        let mut reader = ParamReader::new(query);
        let wanted = Self {
            filter: query_filter(&mut reader, query),
            format: Format::read(&mut reader, query, headers, OF_QUERIES),
        };
        reader.finish()?;
        Ok(wanted)
    }
}

/// The parameters of /read-queries: from when to when, in seconds.
pub(crate) fn seconds_of_query(query: &QueryString) -> Result<(i64, Option<i64>), ApiError> {
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

pub(crate) fn dates_of_query(query: &QueryString) -> Dates {
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
    fn call(&self, function: &'static str) -> Call {
        Call::new(function)
            .arg("start_timestamp", self.start.as_ref())
            .arg("end_timestamp", self.end.as_ref())
    }

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
        let start = date(START_DATE.name, start, RangeEnd::Start)?;
        let end = self.end.as_deref();
        let end = end
            .map(|end| date(END_DATE.name, end, RangeEnd::End))
            .transpose()?;
        Ok((start, end))
    }
}

impl QueryLog {
    /// The queries between two dates.
    async fn between(&self, dates: Dates, wanted: Wanted, client: &Client) -> Result<Response, ApiError> {
        let (start, end) = dates.seconds(self.zone)?;
        self.read(start, end, wanted, client).await
    }

    async fn read(
        &self,
        start: i64,
        end: Option<i64>,
        wanted: Wanted,
        client: &Client,
    ) -> Result<Response, ApiError> {
        let call = Call::new("read_query_data")
            .arg("start_timestamp", start)
            .arg("end_timestamp", end);
        let rows = self.rows(start, end, wanted, client);
        call.run("backend", "read_queries", rows, Response::status).await
    }

    async fn rows(
        &self,
        start: i64,
        end: Option<i64>,
        wanted: Wanted,
        client: &Client,
    ) -> Result<Response, ApiError> {
        // Seconds that no date can be shown for are no date that was asked for.
        let (first, last) = self.zone.range();
        let last = end.unwrap_or(last).min(last);
        let reservation = self.responses.reserve(client, Reads::BATCH).await?;
        let rows = self.reads.queries(start.max(first), Some(last), wanted.filter);
        let body = form(wanted.format, self.zone).streamed(rows, reservation).await?;
        let mut response = ([(header::CONTENT_TYPE, wanted.format.content_type())], body).into_response();
        let name = match wanted.format {
            Format::Csv => "attachment; filename=query_data.csv",
            Format::Ndjson => "attachment; filename=query_data.ndjson",
            _ => return Ok(response),
        };
        response
            .headers_mut()
            .insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(name));
        Ok(response)
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
    fn of(row: &QueryLogEntry, zone: Zone) -> Self {
        Self {
            query: PREFIX.to_owned() + row.query.as_deref().unwrap_or_default(),
            timestamp: zone.format(row.timestamp),
            status: row.status,
            num_results: row.num_results,
        }
    }
}

/// How queries are written.
fn form(format: Format, zone: Zone) -> RowEncoder<QueryLogEntry> {
    let show = move |row: &QueryLogEntry| ShownQuery::of(row, zone);
    match format {
        Format::Csv => RowEncoder {
            head: "query,timestamp,status,num_results\r\n",
            separator: "",
            tail: "",
            write: Box::new(move |buffer, row| {
                let shown = show(row);
                let cells = [
                    &*shown.query,
                    &shown.timestamp.unwrap_or_default(),
                    &shown.status.map(|n| n.to_string()).unwrap_or_default(),
                    &shown.num_results.map(|n| n.to_string()).unwrap_or_default(),
                ];
                csv::line(buffer, &cells);
                Ok(())
            }),
        },
        Format::Ndjson => RowEncoder::ndjson(show),
        _ => RowEncoder::json(show),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(timestamp: i64, query: Option<&str>) -> QueryLogEntry {
        QueryLogEntry {
            query: query.map(str::to_owned),
            timestamp,
            status: Some(200),
            num_results: None,
        }
    }

    #[test]
    fn rows_are_shown_with_their_prefix_and_date() {
        let rows = [row(1_711_843_200, Some("a,=b")), row(1_711_846_800, None)];
        let zone = Zone::new(2).unwrap();
        let written = |format| form(format, zone).whole(&rows).unwrap();
        let shown: serde_json::Value = serde_json::from_slice(&written(Format::Json)).unwrap();
        assert_eq!(
            shown,
            serde_json::json!([
                {"query": "ArXiv QueryString: a,=b", "timestamp": "2024-03-31T02:00:00", "status": 200, "num_results": null},
                {"query": "ArXiv QueryString: ", "timestamp": "2024-03-31T03:00:00", "status": 200, "num_results": null},
            ])
        );
        assert_eq!(
            written(Format::Csv),
            "query,timestamp,status,num_results\r\n\"ArXiv QueryString: a,=b\",2024-03-31T02:00:00,200,\r\nArXiv QueryString: ,2024-03-31T03:00:00,200,\r\n"
        );
        let lines = written(Format::Ndjson);
        assert_eq!(lines.as_ref().split(|b: &u8| *b == b'\n').count(), 3);
    }
}
