//! /feeds: standing searches, what is new by each, and what their webhooks got.

mod deliveries;
mod describe;
mod events;
mod followed;
mod params;

use axum::{
    body::Body,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use bytes::BytesMut;
use crd::is_feed_name;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::{Timestamp, fmt::rfc2822};
use paper::PaperVersion;
use serde_json::{Value, json};
use service::logs::Call;
use storage::{
    Reads,
    feeds::{Feed, FeedItem, ItemRange, Outcome, Timing},
};
use uuid::Uuid;
use wire::{
    headers::{etag, link},
    root_path::RootPath,
};

use self::params::{ItemsForm, Syndication, cursor_of, feed_name};
pub(crate) use self::{
    deliveries::{
        Deliveries, DeliveriesRequest, RedeliverRequest, deliveries, describe_deliveries, describe_redeliver,
        redeliver,
    },
    describe::{describe, describe_follow, describe_list},
    events::{FeedStreams, follow},
    params::{FeedsRequest, ItemsRequest},
};
use crate::{
    app::App,
    error::{ApiError, Code},
    http::middleware::CallLog,
    limits::{client::Client, response_memory::ResponseBudget},
    output::{
        body::{self, LINES, RowEncoder, write_json_line},
        format::{Format, PaperForm},
        versions,
    },
    routes::request::Input,
};

/// Rows of results whose memory a paper with its abstract takes.
const ROWS_OF_A_PAPER: i64 = 2;
/// May be kept, and has to be checked each time.
const CHECK: HeaderValue = HeaderValue::from_static("no-cache");

/// What both endpoints need.
#[derive(Clone)]
pub(crate) struct Feeds {
    reads: Reads,
    responses: ResponseBudget,
    /// The namespace whose feeds are served; those of all where this process has none.
    namespace: Option<String>,
    root: RootPath,
}

impl Feeds {
    pub(crate) fn of(app: &App) -> Option<Self> {
        let namespace = app.namespace.as_ref().map(|namespace| namespace.name.clone());
        Some(Self {
            reads: app.stores.reads.clone()?,
            responses: app.limits.rows.clone(),
            namespace: namespace.or_else(|| app.settings.namespace.clone()),
            root: app.settings.root_path.clone(),
        })
    }

    /// The feed of this name; 404 if there is none.
    async fn find(&self, name: &str) -> Result<Feed, ApiError> {
        // The database refuses some texts that no feed is named.
        if !is_feed_name(name) {
            return Err(no_feed(name));
        }
        let found = self.reads.feed(self.namespace.as_deref(), name).await?;
        found.ok_or_else(|| no_feed(name))
    }
}

fn no_feed(name: &str) -> ApiError {
    let detail = format!("there is no feed {name}; GET /feeds lists those that the operator has registered");
    ApiError::new(Code::NotFound, detail)
}

pub(crate) async fn feeds(
    State(feeds): State<Feeds>,
    client: Client,
    log: CallLog,
    Input(request): Input<FeedsRequest>,
) -> Result<Response, ApiError> {
    let limit = request.items_per_page;
    log.called(Call::new("feeds").arg("items_per_page", limit));
    let reservation = feeds.responses.reserve(&client, limit).await?;
    let after = request.after.unwrap_or_default();
    let namespace = feeds.namespace.as_deref();
    let mut found = feeds.reads.feeds(namespace, &after, limit + 1).await?;
    let has_more = remove_extra(&mut found, limit);
    let list: Vec<_> = found.iter().map(view).collect();
    let text = body::json(&list)?;
    let tag = etag::strong(&["feeds", &String::from_utf8_lossy(&text)]);
    if let Some(response) = not_modified(&request.headers, &tag, None) {
        return Ok(response);
    }
    let body = Body::from(reservation.into_bytes(text)?);
    let next = found.last().filter(|_| has_more);
    let next = next.map(|feed| cursor_of(&format!("{}/{}", feed.namespace, feed.name)));
    let next = next.and_then(|next| link::next(request.query.as_deref(), &["after"], "after", &next));
    Ok(respond(
        body,
        HeaderValue::from_static("application/json"),
        &tag,
        None,
        next,
    ))
}

pub(crate) async fn items(
    State(feeds): State<Feeds>,
    Path(text): Path<String>,
    client: Client,
    log: CallLog,
    Input(request): Input<ItemsRequest>,
) -> Result<Response, ApiError> {
    let name = feed_name(&text);
    log.called(
        Call::new("feed_items")
            .arg("name", name)
            .arg("items_per_page", request.items_per_page),
    );
    let feed = feeds.find(name).await?;
    let limit = request.items_per_page;
    let reservation = feeds
        .responses
        .reserve(&client, limit.saturating_mul(ROWS_OF_A_PAPER))
        .await?;
    let range = ItemRange {
        // The cursor of a feed that had this name before is past its end.
        before: request
            .after
            .map(|(id, position)| if id == feed.uid { position } else { i64::MAX }),
        after: None,
        since: request
            .since
            .and_then(|second| Timestamp::from_second(second).ok()),
    };
    let found = feeds.reads.feed_items_with_papers(feed.uid, range, limit + 1);
    let mut found = found.await?;
    let has_more = remove_extra(&mut found, limit);
    let (items, papers): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    let page = Page {
        next: items
            .last()
            .filter(|_| has_more)
            .map(|item| cursor_of(&format!("{}/{}", feed.uid, item.position))),
        updated: items.first().map(|item| item.recorded_at),
        items,
        papers,
        feed,
    };
    let (text, media_type) = page.write(&request, &feeds.root)?;
    let tag = etag::strong(&["feed", &String::from_utf8_lossy(&text)]);
    if let Some(response) = not_modified(&request.headers, &tag, page.updated) {
        return Ok(response);
    }
    let body = Body::from(reservation.into_bytes(text)?);
    let next = page.next.as_deref();
    let next = next.and_then(|next| link::next(request.uri.query(), &["after"], "after", next));
    Ok(respond(body, media_type, &tag, page.updated, next))
}

/// A page of a feed.
struct Page {
    feed: Feed,
    items: Vec<FeedItem>,
    papers: Vec<PaperVersion>,
    /// When the newest of them became an item.
    updated: Option<Timestamp>,
    /// The cursor of the page after this one.
    next: Option<String>,
}

impl Page {
    fn write(&self, request: &ItemsRequest, root: &RootPath) -> Result<(BytesMut, HeaderValue), ApiError> {
        match request.form {
            ItemsForm::Papers(form) if matches!(form.format, Format::Json | Format::Ndjson) => {
                self.json(form)
            }
            ItemsForm::Papers(form) => {
                let text = versions::encoder(form).whole(&self.papers)?;
                Ok((text, form.format.content_type()))
            }
            ItemsForm::Subscription(form) => self.subscription(form, request, root),
        }
    }

    fn json(&self, form: PaperForm) -> Result<(BytesMut, HeaderValue), ApiError> {
        let items = self.items.iter().zip(&self.papers);
        let items: Vec<_> = items
            .map(|(item, paper)| item_json(self.feed.uid, item, paper))
            .collect();
        let text = match form.format {
            Format::Ndjson => RowEncoder::new(LINES, write_json_line).whole(&items)?,
            _ => body::json(&items)?,
        };
        Ok((text, form.format.content_type()))
    }

    fn subscription(
        &self,
        form: Syndication,
        request: &ItemsRequest,
        root: &RootPath,
    ) -> Result<(BytesMut, HeaderValue), ApiError> {
        let Feed { uid, name, title, .. } = &self.feed;
        let (_, end, media_type) = form.names();
        let address = request.address(root, &format!("/feeds/{name}{end}"));
        let next = self.next.as_ref().map(|next| {
            let query = link::address(request.uri.query(), &["after"], "after", next);
            format!("{address}{query}")
        });
        let last_run = self.feed.last_run.map(|run| run.recorded_at);
        let feed = syndication::Feed {
            id: syndication::feed_id(uid),
            title: format!("arXiv: {name}"),
            description: title.clone(),
            next,
            address,
            home: request.address(root, "/"),
            updated: self.updated.or(last_run).unwrap_or(Timestamp::UNIX_EPOCH),
            items: self
                .items
                .iter()
                .zip(&self.papers)
                .map(|(item, paper)| syndication::Item {
                    id: syndication::item_id(*uid, item.seen_set, &item.id),
                    added: item.recorded_at,
                    paper,
                })
                .collect(),
        };
        let text = match form {
            Syndication::Atom => BytesMut::from(syndication::atom(&feed).map_err(body::of_chunk)?.as_str()),
            Syndication::Rss => BytesMut::from(syndication::rss(&feed).as_str()),
            Syndication::JsonFeed => body::json(&syndication::json_feed(&feed))?,
        };
        Ok((text, HeaderValue::from_static(media_type)))
    }
}

fn item_json(feed: Uuid, item: &FeedItem, paper: &PaperVersion) -> Value {
    let id = syndication::item_id(feed, item.seen_set, &item.id);
    json!({"id": id, "position": item.position, "added": item.recorded_at, "paper": paper})
}

/// As /feeds shows a feed.
fn view(feed: &Feed) -> Value {
    let last_run = feed.last_run.map(|run| {
        json!({"recorded_at": run.recorded_at, "new_items": run.new_items, "complete": run.outcome == Outcome::Complete})
    });
    let Timing {
        schedule,
        time_zone,
        is_suspended,
        next_run,
    } = &feed.timing;
    json!({
        "id": syndication::feed_id(feed.uid), "name": feed.name, "namespace": feed.namespace, "search": feed.title,
        "items": feed.items, "last_run": last_run, "last_complete_run": feed.last_complete_run, "schedule": schedule,
        "time_zone": time_zone, "suspended": is_suspended, "next_run": next_run,
    })
}

/// Removes the one that was read in addition; whether it was there.
fn remove_extra<T>(found: &mut Vec<T>, limit: i64) -> bool {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = found.len() > limit;
    found.truncate(limit);
    has_more
}

/// The answer to a client that has this already: by its tag, else by its time.
fn not_modified(headers: &HeaderMap, tag: &str, updated: Option<Timestamp>) -> Option<Response> {
    // The tag of what the client has, in its coding: a cache finds what it keeps by that.
    let kept = if etag::is_conditional(headers) {
        etag::matching_or_any(headers, tag)?
    } else {
        let since = headers.get(header::IF_MODIFIED_SINCE)?.to_str().ok()?;
        let since = rfc2822::parse(since).ok()?.timestamp().as_second();
        // A time to come is of a clock that is wrong, and says nothing of what the client has.
        let is_past = since <= Timestamp::now().as_second();
        updated.filter(|updated| is_past && updated.as_second() <= since)?;
        HeaderValue::from_str(tag).ok()?
    };
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    insert_validators(response.headers_mut(), Some(kept), updated);
    Some(response)
}

fn respond(
    body: Body,
    media_type: HeaderValue,
    tag: &str,
    updated: Option<Timestamp>,
    next: Option<HeaderValue>,
) -> Response {
    let mut response = ([(header::CONTENT_TYPE, media_type)], body).into_response();
    let headers = response.headers_mut();
    insert_validators(headers, HeaderValue::from_str(tag).ok(), updated);
    if let Some(next) = next {
        headers.insert(header::LINK, next);
    }
    response
}

fn insert_validators(headers: &mut HeaderMap, tag: Option<HeaderValue>, updated: Option<Timestamp>) {
    let updated = updated.and_then(|updated| {
        rfc2822::DateTimePrinter::new()
            .timestamp_to_rfc9110_string(&updated)
            .ok()
    });
    let updated = updated.and_then(|updated| HeaderValue::try_from(updated).ok());
    headers.insert(header::CACHE_CONTROL, CHECK);
    for (name, value) in [(header::ETAG, tag), (header::LAST_MODIFIED, updated)] {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
}
