//! What is read from requests for the query log.

use http::HeaderValue;
use service::logs::Call;
use storage::QueryFilter;
use wire::{
    body,
    dates::{RangeEnd, Zone, hint},
    declared::{Param, ParamKind},
    field_error::FieldErrors,
    params::ParamReader,
    query::QueryString,
};

use crate::{
    error::ApiError,
    limits::request_body::SMALL_BODY,
    output::filter::{NO_SECONDS, STATUS, TEXT, query_filter},
    output::format::{BOM, FORMAT_OF_QUERIES, Format, OF_QUERIES},
    routes::request::{Incoming, ReadRequest},
};

const ANY: ParamKind = ParamKind::Integer(i64::MIN..=i64::MAX);
wire::params! {
    START_DATE = "start_timestamp": ParamKind::Date, "2024-03-31T02:00:00",
        "The first second, in the service's time zone, or with an offset; a date alone is its first second.", required;
    END_DATE = "end_timestamp": ParamKind::Date, "2030-01-01T00:00:00",
        "The last second; open without one. A date alone is its last second.";
    pub(super) START_SECOND = "start_timestamp": ANY, "1711843200", "The first second, in unix seconds.", required;
    END_SECOND = "end_timestamp": ANY, "1893456000", "The last second, in unix seconds; open without one.";
}
/// Parameters of GET /queries, and fields of POST /queries.
pub(super) const BETWEEN_DATES: &[Param; 2] = &[START_DATE, END_DATE];
/// Further parameters of both GETs.
const FILTERS: &[Param] = &[STATUS, TEXT, FORMAT_OF_QUERIES, BOM];
/// Parameters of GET /read-queries.
const BETWEEN_SECONDS: &[Param] = &[START_SECOND, END_SECOND];

/// Which queries a client wants, and how.
#[derive(Debug)]
pub(crate) struct LogRequest {
    /// The request as the log shows it.
    pub(crate) call: Call,
    pub(crate) range: TimeRange,
    pub(crate) filter: QueryFilter,
    pub(crate) format: Format,
    /// `Content-Disposition` of JSON.
    pub(crate) attachment: Option<HeaderValue>,
}

/// From when to when, in unix seconds, both included; without an end if that is open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeRange {
    pub(crate) start: i64,
    pub(crate) end: Option<i64>,
}

/// What a request asks for in addition to its time range: `status`, `text` (words, as for results), `format`.
fn selection(request: &Incoming, query: &QueryString) -> Result<(QueryFilter, Format), FieldErrors> {
    let mut reader = ParamReader::new(query);
    let filter = query_filter(&mut reader);
    let format = Format::read(&mut reader, request.headers(), OF_QUERIES);
    reader.finish().map(|()| (filter, format))
}

/// The call of a request with two dates, as they were sent.
fn call_between(function: &'static str, start: Option<&str>, end: Option<&str>) -> Call {
    Call::new(function)
        .arg("start_timestamp", start)
        .arg("end_timestamp", end)
}

pub(super) fn missing_start() -> ApiError {
    ApiError::bad_parameter("Required parameter missing: start_timestamp")
}

fn range_between(start: Option<&str>, end: Option<&str>, zone: Zone) -> Result<TimeRange, ApiError> {
    let date = |name, text: &str, bound| {
        zone.parse(text, bound).ok_or_else(|| {
            ApiError::bad_parameter(format!(
                "Invalid {name}: expected a date like 2024-03-31T02:00:00, also with Z or an offset like +02:00{}",
                hint(text)
            ))
        })
    };
    let start = start.ok_or_else(missing_start)?;
    let start = date(START_DATE.name, start, RangeEnd::Start)?;
    let end = end.map(|end| date(END_DATE.name, end, RangeEnd::End));
    Ok(TimeRange {
        start,
        end: end.transpose()?,
    })
}

/// GET /queries
#[derive(Debug)]
pub(crate) struct QueriesGet(LogRequest);

impl ReadRequest for QueriesGet {
    const PARAMS: &'static [&'static [Param]] = &[BETWEEN_DATES, FILTERS];

    async fn read(request: Incoming) -> Result<Self, ApiError> {
        let query = request.query();
        let (filter, format) = selection(&request, &query)?;
        let text = |param: &Param| query.last(param.name).map(|value| value.text.as_str());
        let (start, end) = (text(&START_DATE), text(&END_DATE));
        Ok(Self(LogRequest {
            call: call_between("queries_get", start, end),
            range: range_between(start, end, request.defaults().zone)?,
            filter,
            format,
            attachment: Some(HeaderValue::from_static("attachment; filename=query_data.json")),
        }))
    }
}

/// POST /queries
#[derive(Debug)]
pub(crate) struct QueriesPost(LogRequest);

impl ReadRequest for QueriesPost {
    async fn read(mut request: Incoming) -> Result<Self, ApiError> {
        let fields = [START_DATE.name, END_DATE.name];
        let [start, end] = body::texts(&request.json(SMALL_BODY).await?, fields)?;
        let (start, end) = (start.as_deref(), end.as_deref());
        Ok(Self(LogRequest {
            call: call_between("queries_post", start, end),
            range: range_between(start, end, request.defaults().zone)?,
            filter: QueryFilter::default(),
            format: Format::Json,
            attachment: None,
        }))
    }
}

/// GET /read-queries
#[derive(Debug)]
pub(crate) struct ReadQueries(LogRequest);

impl ReadRequest for ReadQueries {
    const PARAMS: &'static [&'static [Param]] = &[BETWEEN_SECONDS, FILTERS];

    async fn read(request: Incoming) -> Result<Self, ApiError> {
        let query = request.query();
        let selection = selection(&request, &query);
        let mut reader = ParamReader::new(&query);
        // Without a start the reader refuses the request.
        let start = reader.integer(&START_SECOND).unwrap_or(i64::MIN);
        let (_, last) = request.defaults().zone.range();
        if start > last {
            // Nothing can be there, and the client would not know why.
            reader.unfit(&START_SECOND, NO_SECONDS, &start.to_string());
        }
        let end = reader.integer(&END_SECOND);
        reader.finish()?;
        let (filter, format) = selection?;
        Ok(Self(LogRequest {
            call: TimeRange { start, end }.call("read_queries"),
            range: TimeRange { start, end },
            filter,
            format,
            attachment: None,
        }))
    }
}

impl TimeRange {
    pub(crate) fn call(self, function: &'static str) -> Call {
        Call::new(function)
            .arg("start_timestamp", self.start)
            .arg("end_timestamp", self.end)
    }
}

macro_rules! into_log_request {
    ($($request:ident),+) => {
        $(impl From<$request> for LogRequest {
            fn from(request: $request) -> Self {
                request.0
            }
        })+
    };
}
into_log_request!(QueriesGet, QueriesPost, ReadQueries);
