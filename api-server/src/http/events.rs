//! Responses of server-sent events.

use std::{convert::Infallible, time::Duration};

use axum::response::{
    IntoResponse, Response,
    sse::{Event, KeepAlive, Sse},
};
use futures::{Stream, StreamExt};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio_util::sync::CancellationToken;

use crate::auth::{caller::Caller, correlation::Correlation};

/// A line on a silent stream, so that nobody on the way takes it for dead, and a client that is gone is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// When a client whose stream ended connects again.
const RECONNECT: Duration = Duration::from_secs(3);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// nginx would hold events back to fill its buffer.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// An event before it is sent.
pub(crate) struct SseEvent<D = String> {
    pub(crate) name: &'static str,
    pub(crate) id: String,
    /// One line.
    pub(crate) data: D,
}

/// The id of the event that the client saw last.
pub(crate) fn last_seen(headers: &HeaderMap) -> Option<String> {
    Some(headers.get(LAST_EVENT_ID)?.to_str().ok()?.to_owned())
}

/// What ends a stream, whatever is on it.
pub(crate) struct StreamEnd {
    /// Who reads it, as long as they may.
    pub(crate) caller: Caller,
    /// Cancelled when this process shuts down.
    pub(crate) process: CancellationToken,
    /// Of the request that it answers.
    pub(crate) correlation: Correlation,
}

impl StreamEnd {
    async fn reached(self) {
        tokio::select! {
            () = self.process.cancelled() => self.correlation.note_end("process_ending"),
            () = self.caller.permission_ended() => self.correlation.note_end("permission_ended"),
        }
    }
}

/// The events until this process or the client's permission ends.
pub(crate) fn respond<D: AsRef<str>>(
    events: impl Stream<Item = SseEvent<D>> + Send + 'static,
    end: StreamEnd,
) -> Response {
    let events = events.map(|SseEvent { name, id, data }| {
        let event = Event::default().event(name).id(id).retry(RECONNECT);
        Ok::<_, Infallible>(event.data(data))
    });
    let mut response = Sse::new(events.take_until(Box::pin(end.reached())))
        .keep_alive(KeepAlive::new().interval(HEARTBEAT))
        .into_response();
    response
        .headers_mut()
        .insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}
