//! One query, live, until its end.

use std::{sync::Arc, time::Duration};

use axum::response::{IntoResponse, Response, sse::Event};
use crd::ArxivQuery;
use futures::stream;
use http::StatusCode;
use serde_json::json;
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    jobs::backlog::Backlog,
    jobs::client::Objects,
    jobs::view::QueryView,
    jobs::waiters::{self, Waiter},
};
use crate::{
    limits::{client::Client, slots::Slot, streams::StreamLimiter},
    routes::arxiv::events::{SseEvent, answer},
};

/// Between two events that are not the last one.
const PAUSE: Duration = Duration::from_millis(500);

/// A query whose events a client reads.
pub(crate) struct QueryStream {
    pub(crate) name: String,
    pub(crate) client: Client,
    pub(crate) objects: Arc<Objects>,
    pub(crate) backlog: Arc<Backlog>,
    /// Registered before the object was read.
    pub(crate) waiter: Waiter,
    pub(crate) object: Arc<ArxivQuery>,
    pub(crate) _slot: Slot,
}

struct Live {
    query: QueryStream,
    changes: watch::Receiver<u64>,
    ending: CancellationToken,
    last: Option<String>,
    step: Step,
}

#[derive(Clone, Copy, PartialEq)]
enum Step {
    First,
    Following,
    Over,
}

/// The stream; 204 for a client that has seen the end, so that it does not connect again.
pub(crate) fn follow(query: QueryStream, streams: &StreamLimiter, last: Option<String>) -> Response {
    if query.object.phase().is_final() && last == Some(event_of(&query).id) {
        return StatusCode::NO_CONTENT.into_response();
    }
    let live = Live {
        changes: query.backlog.changes(),
        query,
        ending: streams.ending.clone(),
        last,
        step: Step::First,
    };
    answer(stream::unfold(live, async |mut live| {
        let event = live.next().await?;
        Some((Ok(event), live))
    }))
}

/// The one event of a query whose object is gone; 204 for a client that has seen it.
pub(crate) fn end(state: &QueryView, last: Option<&str>) -> Response {
    let event = SseEvent::new(state.to_json());
    if last == Some(event.id.as_str()) {
        return StatusCode::NO_CONTENT.into_response();
    }
    answer(stream::iter([Ok(event.named("end"))]))
}

fn event_of(query: &QueryStream) -> SseEvent {
    SseEvent::new(QueryView::from_object(&query.object, query.backlog.position(&query.name)).to_json())
}

impl Live {
    async fn next(&mut self) -> Option<Event> {
        loop {
            match self.step {
                Step::Over => return None,
                Step::First => self.step = Step::Following,
                Step::Following => match self.change().await? {
                    Change::Seen => {}
                    Change::Gone => {
                        self.step = Step::Over;
                        let gone = json!({"detail": "The query was removed before it ended"});
                        return Some(SseEvent::new(gone.to_string()).named("gone"));
                    }
                },
            }
            let event = event_of(&self.query);
            if self.query.object.phase().is_final() {
                self.step = Step::Over;
                return Some(event.named("end"));
            }
            if self.last.as_ref() != Some(&event.id) {
                self.last = Some(event.id.clone());
                return Some(event.named("state"));
            }
        }
    }

    /// Waits for the next change. None when the process ends.
    async fn change(&mut self) -> Option<Change> {
        loop {
            let news = tokio::select! {
                () = self.ending.cancelled() => return None,
                news = self.query.waiter.next_event() => news,
                changed = self.changes.changed() => {
                    changed.ok()?;
                    // Others' changes come often, and move this one's place at most.
                    let (backlog, versions) = (&self.query.backlog, &mut self.changes);
                    let quiet = async {
                        sleep(PAUSE).await;
                        let version = *versions.borrow_and_update();
                        backlog.snapshot_of(version).await;
                    };
                    tokio::select! {
                        () = quiet => waiters::Event::None,
                        news = self.query.waiter.next_event() => news,
                        () = self.ending.cancelled() => return None,
                    }
                }
            };
            match news {
                waiters::Event::None => {}
                waiters::Event::Changed(object) => {
                    self.query.object = object;
                }
                waiters::Event::Resync => match self
                    .query
                    .objects
                    .get(Some(&self.query.client), &self.query.name)
                    .await
                {
                    Ok(Some(object)) => self.query.object = Arc::new(object),
                    Ok(None) => return Some(Change::Gone),
                    // The next event reads it again.
                    Err(_) => continue,
                },
            }
            return Some(Change::Seen);
        }
    }
}

enum Change {
    Seen,
    Gone,
}
