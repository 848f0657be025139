//! GET /feeds/NAME/deliveries and POST /feeds/NAME/redeliver: what the webhooks of a feed got, and requesting it again.

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    response::Response,
};
use crd::is_feed_name;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};
use service::logs::Call;
use storage::feeds::{Delivery, DeliveryKey, Redelivery};
use uuid::Uuid;
use wire::{
    declared::{Param, ParamKind},
    field_error::FieldError,
    headers::{etag, link},
    params::{ParamReader, loc},
    query::QueryString,
};

use super::{
    Feeds, no_feed, not_modified,
    params::{AFTER, ITEMS_PER_PAGE, cursor, cursor_of},
    remove_extra, respond,
};
use crate::{
    app::App,
    error::{ApiError, Code},
    http::middleware::CallLog,
    limits::client::Client,
    openapi::Operation,
    output::body,
    routes::request::{Incoming, Input, ReadRequest},
};

/// As requests name them, and as the table does.
const STATES: [(&str, &str); 4] = [
    ("pending", "Pending"),
    ("delivered", "Delivered"),
    ("failed", "Failed"),
    ("dropped", "Dropped"),
];
const WORDS: [&str; 4] = ["pending", "delivered", "failed", "dropped"];
const USUAL_DELIVERIES: i64 = 50;

wire::params! {
    STATE = "state": ParamKind::OneOf(&WORDS), "failed", "Only deliveries in this state.";
    ID = "id": ParamKind::Opaque, "", "The delivery; without it, all that have failed.";
}

/// What is asked of the deliveries of a feed.
#[derive(Debug)]
pub(crate) struct DeliveriesRequest {
    after: Option<(Uuid, DeliveryKey)>,
    items_per_page: i64,
    state: Option<&'static str>,
    query: Option<String>,
    headers: HeaderMap,
}

impl ReadRequest for DeliveriesRequest {
    const PARAMS: &'static [&'static [Param]] = &[&[ITEMS_PER_PAGE, AFTER, STATE]];

    async fn read(request: Incoming) -> Result<Self, ApiError> {
        let query = request.query();
        let mut reader = ParamReader::new(&query);
        let items_per_page = reader.integer(&ITEMS_PER_PAGE).unwrap_or(USUAL_DELIVERIES);
        let after = cursor(&mut reader, |text| {
            let mut parts = text.splitn(3, '/');
            let feed = Uuid::parse_str(parts.next()?).ok()?;
            let key = DeliveryKey {
                first_position: parts.next()?.parse().ok()?,
                webhook: parts.next()?.to_owned(),
            };
            Some((feed, key))
        });
        let state = reader.raw(&STATE).and_then(|asked| {
            let found = STATES.iter().find(|(word, _)| *word == asked);
            if found.is_none() {
                reader.note(FieldError::none_of(&loc(STATE.name), &WORDS, asked));
            }
            found.map(|(_, state)| *state)
        });
        reader.finish()?;
        Ok(Self {
            after,
            items_per_page,
            state,
            query: request.parts.uri.query().map(str::to_owned),
            headers: request.parts.headers,
        })
    }
}

pub(crate) async fn deliveries(
    State(feeds): State<Feeds>,
    Path(name): Path<String>,
    client: Client,
    log: CallLog,
    Input(request): Input<DeliveriesRequest>,
) -> Result<Response, ApiError> {
    let limit = request.items_per_page;
    log.called(
        Call::new("feed_deliveries")
            .arg("name", &name)
            .arg("items_per_page", limit),
    );
    let feed = feeds.find(&name).await?;
    let reservation = feeds.responses.reserve(&client, limit).await?;
    // The cursor of a feed that had this name before is at its end.
    let after = request.after.map(|(id, key)| {
        let is_same = id == feed.uid;
        let first_position = if is_same { key.first_position } else { 0 };
        DeliveryKey {
            first_position,
            ..key
        }
    });
    let found = feeds
        .reads
        .deliveries(feed.uid, request.state, after.as_ref(), limit + 1);
    let mut found = found.await?;
    let has_more = remove_extra(&mut found, limit);
    let list: Vec<_> = found.iter().map(view).collect();
    let text = body::json(&list)?;
    let tag = etag::strong(&["deliveries", &String::from_utf8_lossy(&text)]);
    if let Some(response) = not_modified(&request.headers, &tag, None) {
        return Ok(response);
    }
    let body = Body::from(reservation.into_bytes(text)?);
    let next = found.last().filter(|_| has_more);
    let next = next.map(|last| cursor_of(&format!("{}/{}/{}", feed.uid, last.positions.0, last.webhook)));
    let next = next.and_then(|next| link::next(request.query.as_deref(), &["after"], "after", &next));
    let media_type = HeaderValue::from_static("application/json");
    Ok(respond(body, media_type, &tag, None, next))
}

fn view(delivery: &Delivery) -> Value {
    let (first, last) = delivery.positions;
    json!({
        "id": delivery.id, "webhook": delivery.webhook, "first_position": first, "last_position": last,
        "state": delivery.state.to_ascii_lowercase(), "attempts": delivery.attempts,
        "recorded_at": delivery.recorded_at, "ended_at": delivery.ended_at,
    })
}

/// What requests of deliveries need.
#[derive(Clone)]
pub(crate) struct Deliveries {
    feeds: storage::feeds::Feeds,
    namespace: Option<String>,
}

impl Deliveries {
    pub(crate) fn of(app: &App) -> Option<Self> {
        let namespace = app.namespace.as_ref().map(|namespace| namespace.name.clone());
        Some(Self {
            feeds: app.stores.feeds.clone()?,
            namespace: namespace.or_else(|| app.settings.namespace.clone()),
        })
    }
}

/// What is requested again.
#[derive(Debug)]
pub(crate) struct RedeliverRequest {
    id: Option<Uuid>,
}

impl ReadRequest for RedeliverRequest {
    const PARAMS: &'static [&'static [Param]] = &[&[ID]];

    async fn read(request: Incoming) -> Result<Self, ApiError> {
        let query = request.query();
        let mut reader = ParamReader::new(&query);
        let id = reader.raw(&ID).filter(|text| !text.is_empty()).and_then(|text| {
            let id = Uuid::parse_str(text).ok();
            if id.is_none() {
                reader.unfit(&ID, "it is not the id of a delivery", text);
            }
            id
        });
        reader.finish()?;
        Ok(Self { id })
    }
}

/// 202 with how many deliveries wait now that had ended.
pub(crate) async fn redeliver(
    State(deliveries): State<Deliveries>,
    Path(name): Path<String>,
    log: CallLog,
    Input(request): Input<RedeliverRequest>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    log.called(Call::new("redeliver").arg("name", &name).arg("id", request.id));
    if !is_feed_name(&name) {
        return Err(no_feed(&name));
    }
    let namespace = deliveries.namespace.as_deref();
    match deliveries.feeds.redeliver(namespace, &name, request.id).await? {
        Redelivery::Requested(count) => Ok((StatusCode::ACCEPTED, Json(json!({"requested": count})))),
        Redelivery::NoFeed => Err(no_feed(&name)),
        Redelivery::NoDelivery => Err(ApiError::new(
            Code::NotFound,
            format!(
                "the feed {name} has no such delivery; GET /feeds/{name}/deliveries lists those that are kept"
            ),
        )),
        Redelivery::Impossible => Err(impossible()),
    }
}

fn impossible() -> ApiError {
    ApiError::new(
        Code::Conflict,
        "it cannot be delivered again: its webhook is removed, its receiver wants nothing any more, or its items are past their age",
    )
}

fn bad_state() -> FieldError {
    FieldError::none_of(&loc(STATE.name), &WORDS, "lost")
}

pub(crate) fn describe_deliveries(operation: Operation<'_>) -> Operation<'_> {
    let mut operation = operation
        .named("feed_deliveries", "records", "What the webhooks of a standing search got")
        .about("Deliveries of new items, those with the newest first. They are kept for 30 days after their end.")
        .response(200, "A page.");
    let time = |about: &str| json!({"type": ["string", "null"], "format": "date-time", "description": about});
    let count = |least: i64, about: &str| json!({"type": "integer", "minimum": least, "description": about});
    let delivery = json!({
        "type": "object",
        "required": ["id", "webhook", "first_position", "last_position", "state", "attempts", "recorded_at", "ended_at"],
        "properties": {
            "id": {"type": "string", "format": "uuid", "description": "What the receiver knows it by (webhook-id)."},
            "webhook": {"type": "string", "description": "The webhook's name."},
            "first_position": count(1, "Of its items."), "last_position": count(1, "Of its items."),
            "state": {"type": "string", "enum": WORDS, "description": "dropped: its webhook was removed before it was delivered."},
            "attempts": count(0, "How many there were."),
            "recorded_at": {"type": "string", "format": "date-time", "description": "When its items were recorded."},
            "ended_at": time("When it was delivered, failed or dropped; null before that."),
        },
    });
    let schema = operation.named_schema("Delivery", delivery);
    let example = json!([{
        "id": "0b1a7c1e-5a53-4a0e-9a1a-2f6d8d9c7e11", "webhook": "chat", "first_position": 7, "last_position": 7,
        "state": "delivered", "attempts": 1, "recorded_at": "2024-05-03T06:17:00Z", "ended_at": "2024-05-03T06:17:01Z",
    }]);
    operation
        .content(
            "application/json",
            json!({"type": "array", "items": schema}),
            example,
        )
        .next_page()
        .replica_lag()
        .header("ETag", "It changes when a delivery does.")
        .response(304, "The page is the one with the entity tag in If-None-Match.")
        .error("There is no such feed.", &no_feed("knuth"))
        .invalid(bad_state())
        .unavailable(Code::DatabaseUnavailable)
}

pub(crate) fn describe_redeliver(operation: Operation<'_>) -> Operation<'_> {
    let requested = json!({
        "type": "object", "required": ["requested"],
        "properties": {"requested": {"type": "integer", "minimum": 0, "description": "How many wait now that had ended."}},
    });
    let query = QueryString::parse(Some("id=x"));
    let mut reader = ParamReader::new(&query);
    reader.unfit(&ID, "it is not the id of a delivery", "x");
    let invalid = reader.finish().err().unwrap_or_default();
    operation
        .named("redeliver", "backend", "Deliver to webhooks again")
        .about(
            "One delivery of a feed, whatever became of it, or all that have failed: attempted at once and for three days, in their \
             order before later ones, with the id that it has.",
        )
        .response(202, "They wait for an attempt.")
        .content("application/json", requested, json!({"requested": 1}))
        .error("There is no such feed, or it has no such delivery.", &no_feed("knuth"))
        .error("It cannot be delivered again.", &impossible())
        .invalid(invalid)
        .unavailable(Code::DatabaseUnavailable)
}
