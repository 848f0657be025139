//! What connects a request with its log lines, with its trace, and with the object that it makes.

use std::sync::{Arc, OnceLock};

use axum::extract::FromRequestParts;
use crd::{REQUEST_ID_ANNOTATION, TRACE_PARENT_ANNOTATION};
use http::{HeaderMap, HeaderName, HeaderValue, request::Parts};
use service::{
    correlation::{TraceParent, is_request_id},
    traces,
};
use tracing::Span;
use uuid::Uuid;

use crate::{error::ApiError, limits::client::Client};

/// In requests and in their answers.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// In requests (W3C Trace Context).
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

/// The id of a request and its trace; in the request's extensions. Clones belong to the same request.
#[derive(Clone, Debug)]
pub(crate) struct Correlation {
    request_id: HeaderValue,
    trace: TraceParent,
    /// Whether the client has begun the trace.
    is_joined: bool,
    noted: Arc<Noted>,
}

/// What becomes known of a request while it is answered, for its line in the access log.
#[derive(Debug, Default)]
struct Noted {
    client: OnceLock<Client>,
    object: OnceLock<String>,
    end: OnceLock<&'static str>,
}

impl Correlation {
    /// What the client has sent, if it is valid; else new ones. A new request id is the id of the new trace, if both are
    /// new.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let given = headers.get(REQUEST_ID);
        let given = given.filter(|id| is_request_id(id.as_bytes())).cloned();
        let trace = given_trace(headers);
        let is_joined = trace.is_some();
        let (request_id, trace) = match (given, trace) {
            (Some(request_id), Some(trace)) => (request_id, trace),
            (request_id, trace) => {
                let random = Uuid::new_v4();
                let request_id = request_id.or_else(|| new_id(random));
                (
                    request_id.unwrap_or(HeaderValue::from_static("none")),
                    trace.unwrap_or_else(|| TraceParent::root(random.as_u64_pair())),
                )
            }
        };
        Self {
            request_id,
            trace,
            is_joined,
            noted: Arc::default(),
        }
    }

    pub(crate) fn header(&self) -> &HeaderValue {
        &self.request_id
    }

    pub(crate) fn request_id(&self) -> &str {
        // Always, as it is ASCII.
        self.request_id.to_str().unwrap_or_default()
    }

    pub(crate) fn trace(&self) -> TraceParent {
        self.trace
    }

    /// Makes the span, which is new, the request's part of its trace: what the request causes elsewhere belongs below it.
    pub(crate) fn join(&mut self, span: &Span) {
        if self.is_joined {
            traces::set_parent(span, self.trace);
        }
        self.trace = traces::place_of(span).unwrap_or(self.trace);
    }

    /// The annotations of the object that the request makes, by which the operator's log lines and traces are found.
    pub(crate) fn annotations(&self) -> [(String, String); 2] {
        [
            (REQUEST_ID_ANNOTATION.to_owned(), self.request_id().to_owned()),
            (TRACE_PARENT_ANNOTATION.to_owned(), self.trace.to_string()),
        ]
    }

    /// Notes who sends the request. Of this and the other notes, the first one counts.
    pub(crate) fn note_client(&self, client: &Client) {
        let _ = self.noted.client.set(client.clone());
    }

    /// Notes which object the request is about.
    pub(crate) fn note_object(&self, name: &str) {
        let _ = self.noted.object.set(name.to_owned());
    }

    /// Notes why a response that goes on ends.
    pub(crate) fn note_end(&self, reason: &'static str) {
        let _ = self.noted.end.set(reason);
    }

    pub(crate) fn client(&self) -> Option<&Client> {
        self.noted.client.get()
    }

    pub(crate) fn object(&self) -> Option<&str> {
        self.noted.object.get().map(String::as_str)
    }

    pub(crate) fn end(&self) -> Option<&'static str> {
        self.noted.end.get().copied()
    }
}

/// 32 hexadecimal digits.
fn new_id(random: Uuid) -> Option<HeaderValue> {
    let mut buffer = Uuid::encode_buffer();
    HeaderValue::from_str(random.simple().encode_lower(&mut buffer)).ok()
}

/// Of several, none can be trusted.
fn given_trace(headers: &HeaderMap) -> Option<TraceParent> {
    let mut given = headers.get_all(TRACE_PARENT).into_iter();
    let (trace, another) = (given.next()?, given.next());
    trace.to_str().ok().filter(|_| another.is_none())?.parse().ok()
}

impl<S: Sync> FromRequestParts<S> for Correlation {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        // The outermost middleware has set it.
        parts.extensions.get().cloned().ok_or_else(ApiError::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn of(headers: &[(HeaderName, &str)]) -> Correlation {
        let headers = headers.iter().cloned();
        let headers = headers.map(|(name, value)| (name, HeaderValue::from_str(value).unwrap()));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value);
        }
        Correlation::of(&map)
    }

    #[test]
    fn valid_request_id_and_trace_of_client_are_kept() {
        let kept = of(&[(REQUEST_ID, "seen-1"), (TRACE_PARENT, TRACE)]);
        assert_eq!((kept.request_id(), &*kept.trace().to_string()), ("seen-1", TRACE));
        for (id, trace) in [("a b", "nonsense"), ("", "")] {
            let made = of(&[(REQUEST_ID, id), (TRACE_PARENT, trace)]);
            assert_eq!(made.request_id().len(), 32);
            assert_eq!(made.request_id(), made.trace().shown_trace_id().to_string());
        }
        let twice = of(&[(TRACE_PARENT, TRACE), (TRACE_PARENT, TRACE)]);
        assert_ne!(twice.trace().to_string(), TRACE);
    }

    #[test]
    fn new_request_ids_differ_also_within_a_trace() {
        assert_ne!(of(&[]).request_id(), of(&[]).request_id());
        let [first, second] = [(); 2].map(|()| of(&[(TRACE_PARENT, TRACE)]));
        assert_ne!(first.request_id(), second.request_id());
        assert_eq!(first.trace(), second.trace());
    }
}
