//! Feeds in the `OpenAPI` document.

use http::HeaderMap;
use paper::PaperId;
use serde_json::{Value, json};
use uuid::Uuid;
use wire::{field_error::FieldErrors, params::ParamReader, query::QueryString};

use super::{
    no_feed,
    params::{ITEMS_PER_PAGE, ItemsForm},
};
use crate::{
    error::{ApiError, Code},
    openapi::{Operation, bad_integer, text},
    output::format::OF_RESULTS,
    routes::papers,
};

const EXAMPLE_ID: &str =
    "tag:arxiv-operator.dev,2026:feeds/7f1f8f1a-3c6e-4d0b-9a52-c1f0e3d4b5a6/1/2401.01234v2";

fn feed() -> Value {
    let named = |about: &str| json!({"type": "string", "description": about});
    let count = |about: &str| json!({"type": "integer", "minimum": 0, "description": about});
    let time = |about: &str| json!({"type": ["string", "null"], "format": "date-time", "description": about});
    let last_run = json!({
        "type": ["object", "null"], "required": ["recorded_at", "new_items", "complete"],
        "description": "The last run; null before the first.",
        "properties": {
            "recorded_at": {"type": "string", "format": "date-time", "description": "When it was recorded."},
            "new_items": count("How many items it added."),
            "complete": {"type": "boolean", "description": "Whether it looked at everything that it had to; else the next one goes on."},
        },
    });
    json!({
        "type": "object",
        "required": [
            "id", "name", "namespace", "search", "items", "last_run", "last_complete_run", "schedule", "time_zone", "suspended",
            "next_run",
        ],
        "properties": {
            "id": {"type": "string", "format": "uri", "description": "The feed's for ever, in every format."},
            "name": named("The name of the ArxivFeed."), "namespace": named("Its namespace."),
            "search": named("What it searches for, as arXiv's API writes it."), "items": count("How many items it ever had."),
            "last_run": last_run, "last_complete_run": time("When the last complete run was recorded; null before it."),
            "schedule": named("When it runs: five fields of cron, or a word like @daily."),
            "time_zone": named("The IANA time zone of the schedule."),
            "suspended": {"type": "boolean", "description": "Whether no runs start."},
            "next_run": time("When the next run starts; null while none is planned."),
        },
    })
}

fn feed_example() -> Value {
    json!({
        "id": "tag:arxiv-operator.dev,2026:feeds/7f1f8f1a-3c6e-4d0b-9a52-c1f0e3d4b5a6", "name": "knuth", "namespace": "papers", "search": "au:knuth", "items": 7,
        "last_run": {"recorded_at": "2024-05-03T06:17:00Z", "new_items": 1, "complete": true},
        "last_complete_run": "2024-05-03T06:17:00Z", "schedule": "17 6 * * 1-5", "time_zone": "Europe/Budapest",
        "suspended": false, "next_run": "2024-05-06T04:17:00Z",
    })
}

fn bad_format() -> FieldErrors {
    let query = QueryString::parse(Some("format=docx"));
    let mut reader = ParamReader::new(&query);
    ItemsForm::read(&mut reader, "", &HeaderMap::new());
    reader.finish().err().unwrap_or_default()
}

pub(crate) fn describe_list(operation: Operation<'_>) -> Operation<'_> {
    let mut operation = operation
        .named("feeds", "records", "Standing searches")
        .about("The ArxivFeeds that have been registered for their first run, by their names.")
        .response(200, "A page.");
    let schema = operation.named_schema("Feed", feed());
    operation
        .content(
            "application/json",
            json!({"type": "array", "items": schema}),
            json!([feed_example()]),
        )
        .next_page()
        .replica_lag()
        .header("ETag", "It changes when a feed does.")
        .response(304, "The page is the one with the entity tag in If-None-Match.")
        .invalid(bad_integer(&ITEMS_PER_PAGE, "0"))
        .unavailable(Code::DatabaseUnavailable)
}

pub(crate) fn describe(operation: Operation<'_>) -> Operation<'_> {
    let mut operation = operation
        .named("feed_items", "records", "What is new by a standing search")
        .about(
            "Each version of a paper that the feed has found, once, the newest first. The name may end with .atom, .rss or .json \
             (JSON Feed), for readers of feeds.",
        )
        .response(200, "A page.");
    let paper = papers::schema(&mut operation);
    let item = json!({
        "type": "object", "required": ["id", "position", "added", "paper"],
        "properties": {
            "id": {"type": "string", "format": "uri", "description": "The item's for ever, in every format."},
            "position": {"type": "integer", "minimum": 1, "description": "From 1 without gaps: the higher, the newer."},
            "added": {"type": "string", "format": "date-time", "description": "When it became an item."},
            "paper": paper,
        },
    });
    let schema = operation.named_schema("FeedItem", item);
    let paper = papers::example();
    let version = PaperId::from(paper["id"].as_str().unwrap_or_default().to_owned());
    let example_id = syndication::item_id(Uuid::nil(), 1, &version);
    let example = json!([{"id": example_id, "position": 7, "added": "2024-05-03T06:17:00Z", "paper": paper}]);
    operation
        .content(
            "application/json",
            json!({"type": "array", "items": schema}),
            example,
        )
        .formats(OF_RESULTS)
        .content("application/atom+xml", text(), json!(""))
        .content("application/rss+xml", text(), json!(""))
        .content(
            "application/feed+json",
            json!({"type": "object"}),
            json!({"version": "https://jsonfeed.org/version/1.1"}),
        )
        .next_page()
        .replica_lag()
        .header(
            "ETag",
            "It changes when an item is added, or arXiv adds to a paper.",
        )
        .header("Last-Modified", "When the newest of the items was added.")
        .response(
            304,
            "The page is the one with the entity tag in If-None-Match, or has no newer item.",
        )
        .error("There is no such feed.", &no_feed("knuth"))
        .invalid(bad_format())
        .unavailable(Code::DatabaseUnavailable)
}

pub(crate) fn describe_follow(operation: Operation<'_>) -> Operation<'_> {
    let too_many = ApiError::new(Code::TooManyStreams, "Too many clients follow events");
    let example = format!(
        "event: item\nid: {EXAMPLE_ID}#7\nretry: 3000\ndata: {{\"id\":\"{EXAMPLE_ID}\",\"position\":7}}\n\n"
    );
    operation
        .named("follow_feed", "records", "What is new by a standing search, live")
        .about(
            "Server-sent events: first `feed`, as in GET /feeds; then an `item` for each new item, as in GET /feeds/NAME, the \
             oldest first, and a `feed` when anything of the feed has changed; at last `gone`, when it is removed. A client \
             that comes back with `Last-Event-ID` gets what it has missed; if that item is not there any more, all that is \
             there.",
        )
        .reads_header("Last-Event-ID", "The id of the event that was seen last; without it, only what is new from now on is sent.")
        .response(200, "The events.")
        .events(&["feed", "item", "gone"], &example)
        .replica_lag()
        .error("There is no such feed.", &no_feed("knuth"))
        .error("Too many clients follow events.", &too_many)
        .unavailable(Code::DatabaseUnavailable)
}
