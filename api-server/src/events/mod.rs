//! Server-sent events: what happens to one query, or to all that wait. Each event is a whole state, so whoever missed
//! some has lost nothing; several changes in a row are one event.

pub(crate) mod list;
pub(crate) mod one;

use std::{
    convert::Infallible,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use axum::response::{
    IntoResponse, Response,
    sse::{Event, KeepAlive, Sse},
};
use futures::Stream;
use http::{HeaderMap, HeaderName, HeaderValue};
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::{error::ApiError, kubernetes::objects::Counted};

/// Streams at once: a quarter of the connections.
const MAX_STREAMS: usize = 256;
/// A line on a silent stream, so that nobody on the way takes it for dead, and a client that is gone is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// When a client whose stream ended connects again.
const RECONNECT: Duration = Duration::from_secs(3);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// nginx would hold events back to fill its buffer.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The room for streams, and their end.
#[derive(Clone)]
pub(crate) struct Streams {
    room: Arc<Semaphore>,
    count: Gauge,
    /// Cancelled when this process is asked to end: every stream ends, and its client connects to another process.
    pub(crate) ending: CancellationToken,
}

/// One stream's place.
pub(crate) struct StreamPermit {
    _room: OwnedSemaphorePermit,
    _counted: Counted,
}

impl Streams {
    pub(crate) fn new(count: Gauge, ending: CancellationToken) -> Self {
        Self {
            room: Arc::new(Semaphore::new(MAX_STREAMS)),
            count,
            ending,
        }
    }

    pub(crate) fn enter(&self) -> Result<StreamPermit, ApiError> {
        let room = Arc::clone(&self.room).try_acquire_owned();
        Ok(StreamPermit {
            _room: room.map_err(|_| ApiError::too_many_streams(MAX_STREAMS))?,
            _counted: Counted::new(&self.count),
        })
    }
}

/// An event before it is sent. Its id is the hash of what it tells, so that it says the same in every process.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Told {
    pub(crate) id: String,
    pub(crate) data: String,
}

impl Told {
    pub(crate) fn new(data: String) -> Self {
        let mut hasher = DefaultHasher::new();
        data.hash(&mut hasher);
        Self {
            id: format!("{:016x}", hasher.finish()),
            data,
        }
    }

    fn event(&self, name: &str) -> Event {
        Event::default()
            .event(name)
            .id(&self.id)
            .retry(RECONNECT)
            .data(&self.data)
    }
}

/// The id of the event that the client saw last.
fn last_seen(headers: &HeaderMap) -> Option<String> {
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
