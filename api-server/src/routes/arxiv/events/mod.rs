//! Server-sent events: what happens to one query, or to all unfinished ones. Each event is a whole state, so a client that
//! missed some has lost nothing; several changes in a row are one event.

pub(crate) mod list;
pub(crate) mod one;

use std::{
    convert::Infallible,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use axum::response::{
    IntoResponse, Response,
    sse::{Event, KeepAlive, Sse},
};
use futures::Stream;
use http::{HeaderMap, HeaderName, HeaderValue};

/// A line on a silent stream, so that nobody on the way takes it for dead, and a client that is gone is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// When a client whose stream ended connects again.
const RECONNECT: Duration = Duration::from_secs(3);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// nginx would hold events back to fill its buffer.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// An event before it is sent. Its id is the hash of its data, so that it is the same in every process.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct SseEvent {
    pub(crate) id: String,
    pub(crate) data: String,
}

impl SseEvent {
    pub(crate) fn new(data: String) -> Self {
        let mut hasher = DefaultHasher::new();
        data.hash(&mut hasher);
        Self {
            id: format!("{:016x}", hasher.finish()),
            data,
        }
    }

    fn named(&self, name: &str) -> Event {
        Event::default()
            .event(name)
            .id(&self.id)
            .retry(RECONNECT)
            .data(&self.data)
    }
}

/// The id of the event that the client saw last.
pub(super) fn last_seen(headers: &HeaderMap) -> Option<String> {
    Some(headers.get(LAST_EVENT_ID)?.to_str().ok()?.to_owned())
}

fn answer(events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static) -> Response {
    let mut response = Sse::new(events)
        .keep_alive(KeepAlive::new().interval(HEARTBEAT))
        .into_response();
    response
        .headers_mut()
        .insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}
