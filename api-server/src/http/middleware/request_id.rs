//! The id of a request: in the response, and in the span around each line of the log.

use axum::extract::Request;
use http::{HeaderName, HeaderValue};
use tower_http::request_id::{MakeRequestId, RequestId};
use tracing::Span;
use uuid::Uuid;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest request id that is taken from a client.
const MAX_BYTES: usize = 128;

/// Makes ids for requests that have none.
#[derive(Clone, Copy)]
pub(super) struct NewRequestId;

impl MakeRequestId for NewRequestId {
    fn make_request_id<B>(&mut self, _request: &http::Request<B>) -> Option<RequestId> {
        let id = Uuid::new_v4().simple().to_string();
        HeaderValue::try_from(id).ok().map(RequestId::new)
    }
}

/// Removes an id that a client sent, unless it is harmless in a log.
pub(super) fn remove_unusable(mut request: Request) -> Request {
    if !request.headers().get(REQUEST_ID).is_some_and(is_usable) {
        request.headers_mut().remove(REQUEST_ID);
    }
    request
}

fn is_usable(id: &HeaderValue) -> bool {
    let bytes = id.as_bytes();
    (1..=MAX_BYTES).contains(&bytes.len())
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(b))
}

/// The span around the lines of the log.
pub(super) fn span(request: &Request) -> Span {
    let id = request.extensions().get::<RequestId>();
    let id = id
        .and_then(|id| id.header_value().to_str().ok())
        .unwrap_or_default();
    // At the most urgent level, so that no line of any level lacks the id.
    tracing::error_span!("request", request_id = id)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn request_id_of_client_is_kept_if_usable() {
        for (id, kept) in [
            ("abc-1_2.3:4", true),
            ("", false),
            ("a b", false),
            ("a\"b", false),
            (&*"a".repeat(128), true),
            (&*"a".repeat(129), false),
        ] {
            let request = Request::builder().header(REQUEST_ID, id);
            let request = remove_unusable(request.body(Body::empty()).unwrap());
            assert_eq!(request.headers().contains_key(REQUEST_ID), kept, "{id}");
        }
    }

    #[test]
    fn new_request_ids_differ() {
        let new = || {
            let id = NewRequestId.make_request_id(&Request::new(())).unwrap();
            id.into_header_value()
        };
        assert_ne!(new(), new());
    }
}
