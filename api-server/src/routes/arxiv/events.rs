//! Server-sent events: what happens to one query, or to all unfinished ones. Each event is a whole state, so a client that
//! missed some has lost nothing; several changes in a row are one event.

use std::{
    future::ready,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use axum::response::{IntoResponse, Response};
use crd::ArxivQuery;
use futures::{Stream, StreamExt, stream};
use http::StatusCode;
use serde::Serialize;
use serde_json::json;
use tokio::{sync::watch, time::sleep};

use crate::{
    http::events::{SseEvent, StreamEnd, respond},
    jobs::backlog::{Backlog, Counts, Snapshot},
    jobs::client::Objects,
    jobs::submit::is_removed,
    jobs::view::QueryView,
    jobs::waiters::{self, Waiter},
    limits::{client::Client, slots::Slot},
};

/// Queries of an event of the list, from the head of the queue: at some 400 bytes each 40 KB.
const SHOWN: usize = 100;
/// Between two events of the list.
const LIST_PAUSE: Duration = Duration::from_secs(1);
/// Between two events of a query that are not the last one.
const QUERY_PAUSE: Duration = Duration::from_millis(500);

/// An event whose id is the hash of its data, so that it is the same in every process.
fn hashed(name: &'static str, data: String) -> SseEvent {
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    let id = format!("{:016x}", hasher.finish());
    SseEvent { name, id, data }
}

/// The events without those that are the same as the one before. `last` is the id of the event that the client saw last.
fn respond_with_changes(
    events: impl Stream<Item = SseEvent> + Send + 'static,
    end: StreamEnd,
    mut last: Option<String>,
) -> Response {
    let new = events.filter(move |event| {
        let is_new = last.as_ref() != Some(&event.id);
        last = Some(event.id.clone());
        ready(is_new)
    });
    respond(new, end)
}

/// All unfinished queries, live: counts, the first in the queue, and the last that ended.
#[derive(Serialize)]
struct List {
    counts: Counts,
    queries: Vec<QueryView>,
    ended: Vec<QueryView>,
}

impl Snapshot {
    /// Serialized once for all streams.
    fn list(&self) -> &str {
        self.text.get_or_init(|| {
            let queued = self.order.iter().take(SHOWN);
            let ended = self.ended.iter();
            let list = List {
                counts: self.counts,
                queries: queued
                    .map(|queued| queued.view_at(self.position(&queued.view.name)))
                    .collect(),
                ended: ended.map(|object| QueryView::from_object(object, None)).collect(),
            };
            serde_json::to_string(&list).unwrap_or_default()
        })
    }
}

/// The list as it changes.
pub(super) fn follow_list(
    backlog: &Arc<Backlog>,
    slot: Slot,
    end: StreamEnd,
    last: Option<String>,
) -> Response {
    let first = (Arc::clone(backlog), backlog.changes(), true, slot);
    let events = stream::unfold(first, async |(backlog, mut changes, is_first, slot)| {
        if !is_first {
            changes.changed().await.ok()?;
            sleep(LIST_PAUSE).await;
        }
        let version = *changes.borrow_and_update();
        let data = backlog.snapshot_of(version).await.list().to_owned();
        Some((hashed("queries", data), (backlog, changes, false, slot)))
    });
    respond_with_changes(events, end, last)
}

/// A query whose events a client reads.
pub(super) struct QueryStream {
    pub(super) name: String,
    pub(super) client: Client,
    pub(super) objects: Arc<Objects>,
    pub(super) backlog: Arc<Backlog>,
    /// Registered before the object was read.
    pub(super) waiter: Waiter,
    pub(super) object: Arc<ArxivQuery>,
    pub(super) _slot: Slot,
}

/// The states of a query until its end; 204 for a client that has seen the end, so that it does not connect again.
pub(super) fn follow_query(query: QueryStream, end: StreamEnd, last: Option<String>) -> Response {
    // Before the first state, so that no change after it is missed.
    let changes = query.backlog.changes();
    let first = query.event();
    let is_over = query.object.phase().is_final();
    if is_over && last.as_ref() == Some(&first.id) {
        return StatusCode::NO_CONTENT.into_response();
    }
    let state = (changes, query, is_over);
    let later = stream::unfold(state, async |(mut changes, mut query, is_over)| {
        if is_over {
            return None;
        }
        if !query.change(&mut changes).await {
            let gone = json!({"detail": "The query was removed before it ended"});
            let gone = hashed("gone", gone.to_string());
            return Some((gone, (changes, query, true)));
        }
        let is_over = query.object.phase().is_final();
        Some((query.event(), (changes, query, is_over)))
    });
    respond_with_changes(stream::iter([first]).chain(later), end, last)
}

/// The one event of a query whose object is gone; 204 for a client that has seen it.
pub(super) fn end(state: &QueryView, end: StreamEnd, last: Option<String>) -> Response {
    let event = hashed("end", state.to_json());
    if last.as_ref() == Some(&event.id) {
        return StatusCode::NO_CONTENT.into_response();
    }
    respond_with_changes(stream::iter([event]), end, last)
}

impl QueryStream {
    fn event(&self) -> SseEvent {
        let is_final = self.object.phase().is_final();
        let view = QueryView::from_object(&self.object, self.backlog.position(&self.name));
        hashed(if is_final { "end" } else { "state" }, view.to_json())
    }

    /// Waits for the next change; false if the object is gone.
    async fn change(&mut self, changes: &mut watch::Receiver<u64>) -> bool {
        loop {
            let news = tokio::select! {
                news = self.waiter.next_event() => news,
                Ok(()) = changes.changed() => {
                    // Others' changes come often, and move this one's place at most.
                    let quiet = async {
                        sleep(QUERY_PAUSE).await;
                        let version = *changes.borrow_and_update();
                        self.backlog.snapshot_of(version).await;
                    };
                    tokio::select! {
                        () = quiet => waiters::Event::None,
                        news = self.waiter.next_event() => news,
                    }
                }
            };
            match news {
                waiters::Event::None => {}
                waiters::Event::Changed(object) => self.object = object,
                waiters::Event::Resync => match self.objects.get(&self.client, &self.name).await {
                    Ok(Some(object)) if !is_removed(&object) => self.object = Arc::new(object),
                    Ok(_) => return false,
                    // The next event reads it again.
                    Err(_) => continue,
                },
            }
            return true;
        }
    }
}
