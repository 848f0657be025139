//! What is read from requests for the query log.

use axum::extract::{FromRef, FromRequest, FromRequestParts, Request};
use http::{HeaderMap, request::Parts};
use service::logs::Call;
use storage::QueryFilter;
use wire::{
    body,
    dates::{RangeEnd, Zone},
    declared::{Param, ParamKind},
    params::ParamReader,
    query::QueryString,
};

use crate::{
    error::ApiError,
    limits::request_body::SMALL_BODY,
    output::filter::{STATUS, TEXT, query_filter},
    output::format::{FORMAT_OF_QUERIES, Format, OF_QUERIES},
    routes::context::{RequestContext, query_string},
    routes::route::Declared,
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
const FILTERS: &[Param] = &[STATUS, TEXT, FORMAT_OF_QUERIES];
/// Parameters of GET /read-queries.
const BETWEEN_SECONDS: &[Param] = &[START_SECOND, END_SECOND];

/// From when to when, in unix seconds, both included; without an end if that is open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeRange {
    pub(crate) start: i64,
    pub(crate) end: Option<i64>,
}

/// Which queries a client wants besides the time, and in which format: `status`, `text` (words, as for results), `format`.
#[derive(Debug)]
pub(crate) struct QueriesParams {
    pub(crate) filter: QueryFilter,
    pub(crate) format: Format,
}

impl Default for QueriesParams {
    fn default() -> Self {
        Self {
            filter: QueryFilter::default(),
            format: Format::Json,
        }
    }
}

impl QueriesParams {
    fn read(query: &QueryString, headers: &HeaderMap) -> Result<Self, ApiError> {
        let mut reader = ParamReader::new(query);
        let params = Self {
            filter: query_filter(&mut reader),
            format: Format::read(&mut reader, headers, OF_QUERIES),
        };
        reader.finish()?;
        Ok(params)
    }
}

/// Two dates as they were sent.
#[derive(Debug)]
struct Dates {
    start: Option<String>,
    end: Option<String>,
}

impl Dates {
    fn of_query(query: &QueryString) -> Self {
        let text = |param: &Param| query.last(param.name).map(|value| value.text.clone());
        Self {
            start: text(&START_DATE),
            end: text(&END_DATE),
        }
    }

    fn call(&self, function: &'static str) -> Call {
        Call::new(function)
            .arg("start_timestamp", self.start.as_ref())
            .arg("end_timestamp", self.end.as_ref())
    }

    fn range(&self, zone: Zone) -> Result<TimeRange, ApiError> {
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
        Ok(TimeRange { start, end })
    }
}

/// GET /queries
#[derive(Debug)]
pub(crate) struct QueriesRequest {
    dates: Dates,
    pub(crate) range: TimeRange,
    pub(crate) params: QueriesParams,
}

impl QueriesRequest {
    /// The request as the log shows it.
    pub(crate) fn call(&self) -> Call {
        self.dates.call("queries_get")
    }
}

impl Declared for QueriesRequest {
    const PARAMS: &'static [&'static [Param]] = &[BETWEEN_DATES, FILTERS];
}

impl<S> FromRequestParts<S> for QueriesRequest
where
    S: Sync,
    RequestContext: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let zone = RequestContext::from_ref(state).defaults.zone;
        let query = query_string(parts);
        let params = QueriesParams::read(&query, &parts.headers)?;
        let dates = Dates::of_query(&query);
        let range = dates.range(zone)?;
        Ok(Self { dates, range, params })
    }
}

/// POST /queries
#[derive(Debug)]
pub(crate) struct QueriesBody {
    dates: Dates,
    pub(crate) range: TimeRange,
}

impl QueriesBody {
    /// The request as the log shows it.
    pub(crate) fn call(&self) -> Call {
        self.dates.call("queries_post")
    }
}

impl Declared for QueriesBody {
    const PARAMS: &'static [&'static [Param]] = &[];
}

impl<S> FromRequest<S> for QueriesBody
where
    S: Sync,
    RequestContext: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let context = RequestContext::from_ref(state);
        let (parts, body) = context.read_body(request, SMALL_BODY).await?;
        let fields = [START_DATE.name, END_DATE.name];
        let [start, end] = body::texts(&body::read(&parts.headers, &body.bytes)?, fields)?;
        let dates = Dates { start, end };
        let range = dates.range(context.defaults.zone)?;
        Ok(Self { dates, range })
    }
}

/// GET /read-queries
#[derive(Debug)]
pub(crate) struct ReadQueriesRequest {
    pub(crate) range: TimeRange,
    pub(crate) params: QueriesParams,
}

impl ReadQueriesRequest {
    /// The request as the log shows it.
    pub(crate) fn call(&self) -> Call {
        Call::new("read_queries")
            .arg("start_timestamp", self.range.start)
            .arg("end_timestamp", self.range.end)
    }
}

impl Declared for ReadQueriesRequest {
    const PARAMS: &'static [&'static [Param]] = &[BETWEEN_SECONDS, FILTERS];
}

impl<S: Sync> FromRequestParts<S> for ReadQueriesRequest {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let query = query_string(parts);
        let params = QueriesParams::read(&query, &parts.headers);
        let mut reader = ParamReader::new(&query);
        let start = reader.integer(&START_SECOND);
        let end = reader.integer(&END_SECOND);
        reader.finish()?;
        let range = TimeRange {
            // Without a start the reader has refused the request.
            start: start.unwrap_or(i64::MIN),
            end,
        };
        Ok(Self {
            range,
            params: params?,
        })
    }
}
