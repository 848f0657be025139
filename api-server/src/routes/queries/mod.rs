//! GET and POST /queries, GET /read-queries: what was searched for, by time.

pub(crate) mod params;

use std::fmt;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use serde_json::{Map, json};
use storage::{QueryFilter, QueryLogEntry, Reads};
use wire::{
    dates::{DateText, Zone},
    declared::Param,
    field_error::FieldError,
};

use self::params::{BETWEEN_DATES, LogRequest, START_SECOND, TimeRange};
use crate::{
    app::App,
    error::{ApiError, Code},
    http::middleware::CallLog,
    limits::client::Client,
    limits::response_memory::ResponseBudget,
    openapi::{Operation, bad_integer, date},
    output::body::{JSON_ARRAY, LINES, RowEncoder, write_json, write_json_line},
    output::csv,
    output::filter::STATUS,
    output::format::{Format, OF_QUERIES},
    routes::request::{Input, ReadRequest},
};

/// The prefix of each query in responses; the stored ones have none.
const PREFIX: &str = "ArXiv Query: ";

/// What the endpoints need.
#[derive(Clone)]
pub(crate) struct QueryLog {
    reads: Reads,
    zone: Zone,
    responses: ResponseBudget,
}

/// The queries that an `R` asks for.
pub(crate) async fn queries<R: ReadRequest + Into<LogRequest>>(
    State(log): State<QueryLog>,
    calls: CallLog,
    client: Client,
    Input(request): Input<R>,
) -> Result<Response, ApiError> {
    let LogRequest {
        call,
        range,
        filter,
        format,
        attachment,
    } = request.into();
    calls.called(call);
    let call = range.call("read_query_data");
    let rows = log.read(range, filter, format, &client);
    let mut response = call
        .run("backend", "read_queries", rows, Response::status)
        .await?;
    let attachment = match format {
        Format::Csv { .. } => Some(HeaderValue::from_static("attachment; filename=query_data.csv")),
        Format::Ndjson => Some(HeaderValue::from_static("attachment; filename=query_data.ndjson")),
        _ => attachment,
    };
    if let Some(attachment) = attachment {
        response
            .headers_mut()
            .insert(header::CONTENT_DISPOSITION, attachment);
    }
    Ok(response)
}

impl QueryLog {
    pub(crate) fn of(app: &App) -> Option<Self> {
        Some(Self {
            reads: app.stores.reads.clone()?,
            zone: app.settings.timezone_offset,
            responses: app.limits.rows.clone(),
        })
    }

    async fn read(
        &self,
        range: TimeRange,
        filter: QueryFilter,
        format: Format,
        client: &Client,
    ) -> Result<Response, ApiError> {
        // There are no queries at seconds that no date can be shown for.
        let (first, last) = self.zone.range();
        let last = range.end.unwrap_or(last).min(last);
        let reservation = self.responses.reserve(client, Reads::BATCH).await?;
        let rows = self.reads.queries(range.start.max(first), Some(last), filter);
        let body = form(format, self.zone).streamed(rows, reservation).await?;
        Ok(([(header::CONTENT_TYPE, format.content_type())], body).into_response())
    }
}

/// A row as clients see it.
#[derive(JsonSchema, Serialize)]
pub(crate) struct ShownQuery<'r> {
    #[schemars(with = "String")]
    query: Prefixed<'r>,
    timestamp: Option<&'r str>,
    status: Option<i16>,
    num_results: Option<i32>,
}

/// A query with the prefix.
struct Prefixed<'r>(&'r str);

impl fmt::Display for Prefixed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        f.write_str(self.0)
    }
}

impl Serialize for Prefixed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'r> ShownQuery<'r> {
    /// `date`: that of its timestamp.
    fn of(row: &'r QueryLogEntry, date: Option<&'r DateText>) -> Self {
        Self {
            query: Prefixed(row.query.as_deref().unwrap_or_default()),
            timestamp: date.map(DateText::as_str),
            status: row.status,
            num_results: row.num_results,
        }
    }
}

/// How queries are written.
fn form(format: Format, zone: Zone) -> RowEncoder<QueryLogEntry> {
    let date = move |row: &QueryLogEntry| zone.format(row.timestamp);
    match format {
        Format::Csv { with_mark } => {
            let head = "query,timestamp,status,num_results\r\n";
            RowEncoder::new([head, "", ""], move |buffer, row| {
                let date = date(row);
                let shown = ShownQuery::of(row, date.as_ref());
                let cells = [
                    shown.query.to_string(),
                    shown.timestamp.unwrap_or_default().to_owned(),
                    shown.status.map(|n| n.to_string()).unwrap_or_default(),
                    shown.num_results.map(|n| n.to_string()).unwrap_or_default(),
                ];
                csv::line(buffer, &cells);
                Ok(())
            })
            .after_mark(with_mark)
        }
        Format::Ndjson => RowEncoder::new(LINES, move |buffer, row| {
            write_json_line(buffer, &ShownQuery::of(row, date(row).as_ref()))
        }),
        _ => RowEncoder::new(JSON_ARRAY, move |buffer, row| {
            write_json(buffer, &ShownQuery::of(row, date(row).as_ref()))
        }),
    }
}

impl Operation<'_> {
    /// The queries as the response, in each format.
    fn queries(self) -> Self {
        let example = json!([{
            "query": "ArXiv Query: search_query=au:knuth&id_list=&start=0&max_results=3",
            "timestamp": "2024-03-31T02:00:00", "status": 200, "num_results": 1234,
        }]);
        self.response(200, "Ascending by time.")
            .json::<Vec<ShownQuery<'_>>>(example)
            .formats(OF_QUERIES)
            .replica_lag()
    }

    fn bad_date(self) -> Self {
        self.error(
            "The start is missing, or a date cannot be read.",
            &params::missing_start(),
        )
        .unavailable(Code::DatabaseUnavailable)
    }
}

pub(crate) fn describe_get(operation: Operation<'_>) -> Operation<'_> {
    operation
        .named("queries_get", "records", "What was searched for, by time")
        .queries()
        .header("Content-Disposition", "A file name for browsers.")
        .bad_date()
        .invalid(bad_integer(&STATUS, "-1"))
}

pub(crate) fn describe_post(mut operation: Operation<'_>) -> Operation<'_> {
    let text = |param: &Param| {
        let mut schema = date();
        schema["type"] = json!(["string", "null"]);
        schema["description"] = param.about.into();
        (param.name.to_owned(), schema)
    };
    let properties: Map<_, _> = BETWEEN_DATES.iter().map(text).collect();
    let required = BETWEEN_DATES.iter().filter(|param| param.required);
    let required: Vec<_> = required.map(|param| param.name).collect();
    let schema = json!({"type": "object", "required": required, "properties": properties});
    let schema = operation.named_schema("BetweenDates", schema);
    let example: Map<_, _> = BETWEEN_DATES
        .iter()
        .map(|param| (param.name.to_owned(), param.example.into()))
        .collect();
    let start = ["body".into(), BETWEEN_DATES[0].name.into()];
    operation
        .named("queries_post", "records", "What was searched for, by time")
        .queries()
        .bad_date()
        .body(schema, example.into())
        .invalid(FieldError::string_type(
            &start,
            wire::json::Json::Integer(1_711_843_200),
        ))
}

pub(crate) fn describe_read(operation: Operation<'_>) -> Operation<'_> {
    operation
        .named(
            "read_queries",
            "backend",
            "What was searched for, by unix seconds",
        )
        .queries()
        .invalid(bad_integer(&START_SECOND, "yesterday"))
        .unavailable(Code::DatabaseUnavailable)
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
    fn query_row_has_prefix_and_date_in_each_format() {
        let rows = [row(1_711_843_200, Some("a,=b")), row(1_711_846_800, None)];
        let zone: Zone = "2".parse().unwrap();
        let written = |format| form(format, zone).whole(&rows).unwrap();
        let shown: serde_json::Value = serde_json::from_slice(&written(Format::Json)).unwrap();
        assert_eq!(
            shown,
            serde_json::json!([
                {"query": "ArXiv Query: a,=b", "timestamp": "2024-03-31T02:00:00", "status": 200, "num_results": null},
                {"query": "ArXiv Query: ", "timestamp": "2024-03-31T03:00:00", "status": 200, "num_results": null},
            ])
        );
        assert_eq!(
            written(Format::Csv { with_mark: false }),
            "query,timestamp,status,num_results\r\n\"ArXiv Query: a,=b\",2024-03-31T02:00:00,200,\r\nArXiv Query: ,2024-03-31T03:00:00,200,\r\n"
        );
        let lines = written(Format::Ndjson);
        assert_eq!(lines.as_ref().split(|b: &u8| *b == b'\n').count(), 3);
    }
}
