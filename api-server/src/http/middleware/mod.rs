//! What surrounds every request: its id, its limits, its time, its line in the metrics; and panics.

pub(crate) mod compress;
pub(crate) mod methods;
pub(crate) mod root_path;
pub(crate) mod security_headers;
pub(crate) mod unknown_params;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::FutureExt;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Uri,
    header::{ALLOW, CONTENT_TYPE},
};
use tokio::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

use crate::{
    app::metrics::{Counts, RequestLabels},
    error::{ApiError, Code, negotiated, prefers_problem_details},
    http::middleware::root_path::RootPath,
    http::middleware::security_headers::protect,
    limits::headers::{Bound, Fields},
};

/// Longest path and query. The longest values together take less, percent-encoded, for most alphabets.
const MAX_URI_BYTES: usize = 16 * 1024;
/// All headers together.
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// Most bytes of a path and query in the log; what is longer is cut (it is ASCII by then, percent-encoded).
const MAX_LOGGED_TARGET: usize = 600;
/// Longest request id that is taken from a client.
const MAX_REQUEST_ID: usize = 128;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Set on a request that comes when there are too many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoRoom;

/// Whether the request is answered at once, from what this process knows: its health and metrics.
pub(crate) fn is_about_this_process(uri: &Uri) -> bool {
    ["/healthz", "/readyz", "/metrics"].contains(&uri.path())
}

/// What is around the routes.
pub(crate) struct Edge {
    pub(crate) counts: Counts,
    /// No request takes longer, whatever it waits for.
    pub(crate) request_timeout: Duration,
    /// How limits are told.
    pub(crate) fields: Fields,
    /// Under which clients find the paths that errors tell.
    pub(crate) root: RootPath,
}

/// The middleware.
pub(crate) async fn surround(State(edge): State<Arc<Edge>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(request.headers());
    let method = known(request.method());
    let endpoint = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "other".to_owned(), |path| path.as_str().to_owned());
    // At the most urgent level, so that no line of any level lacks the id.
    let span = tracing::error_span!("request", request_id = id.to_str().unwrap_or_default());
    // Cheap to keep, and written out only for what is refused.
    let (verb, target) = (request.method().clone(), request.uri().clone());
    let problem_details = prefers_problem_details(request.headers());
    let response = match within_limits(request.uri(), request.headers()) {
        Err(error) => error.into_response(),
        Ok(()) if request.extensions().get::<NoRoom>().is_some() => {
            ApiError::unavailable(Code::Overloaded).into_response()
        }
        Ok(()) => shaped(edge.handle(request, next).instrument(span.clone()).await, method),
    };
    let mut response = negotiated(response, problem_details, &edge.root);
    if let Some(bound) = response.extensions_mut().remove::<Bound>() {
        edge.fields.tell(bound, response.headers_mut());
    }
    let status = response.status().as_u16();
    if response.status().is_client_error() {
        // What is refused before its endpoint is called leaves no other line.
        let asked = asked(&verb, &target);
        span.in_scope(|| service::notice!(origin = "http", "{asked}: answered with {status}"));
    }
    edge.counts.answered(
        &RequestLabels {
            endpoint,
            method,
            status,
        },
        started.elapsed(),
    );
    protect(response.headers_mut());
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

impl Edge {
    async fn handle(&self, request: Request, next: Next) -> Response {
        let answer = AssertUnwindSafe(next.run(request)).catch_unwind();
        match tokio::time::timeout(self.request_timeout, answer).await {
            Ok(Ok(response)) => response,
            Ok(Err(_)) => {
                tracing::error!("a request ended in a panic");
                ApiError::internal().into_response()
            }
            Err(_) => {
                tracing::error!("a request took too long");
                ApiError::unavailable(Code::Overloaded).into_response()
            }
        }
    }
}

/// The request's first line, as far as it is of use in a log.
fn asked(method: &Method, uri: &Uri) -> String {
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    let shown = target
        .get(..MAX_LOGGED_TARGET)
        .map_or_else(|| target.to_owned(), |start| format!("{start}…"));
    format!("{method} {shown}")
}

/// Errors that no handler of ours made (of the framework, of health and metrics) in the form that all have.
fn shaped(response: Response, method: &str) -> Response {
    let status = response.status();
    let is_json = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind == "application/json");
    if is_json || method == "HEAD" || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let mut shaped = ApiError::of_framework(status).into_response();
    if let Some(allow) = response.headers().get(ALLOW) {
        shaped.headers_mut().insert(ALLOW, allow.clone());
    }
    shaped
}

fn within_limits(uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
    if uri.path_and_query().map_or(0, |text| text.as_str().len()) > MAX_URI_BYTES {
        return Err(ApiError::new(Code::AddressTooLong, "URI Too Long"));
    }
    // A name and a value come with ": " and a line break.
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    if bytes > MAX_HEADER_BYTES {
        let detail = "Request Header Fields Too Large";
        return Err(ApiError::new(Code::HeadersTooLong, detail));
    }
    Ok(())
}

/// The client's id if it is harmless in a log, else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let sane = |id: &&HeaderValue| {
        let bytes = id.as_bytes();
        (1..=MAX_REQUEST_ID).contains(&bytes.len())
            && bytes
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(b))
    };
    headers.get(REQUEST_ID).filter(sane).cloned().unwrap_or_else(|| {
        let id = Uuid::new_v4().simple().to_string();
        HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("none"))
    })
}

/// Few label values, whatever clients send.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_taken_if_sane() {
        for (id, taken) in [
            ("abc-1_2.3:4", true),
            ("", false),
            ("a b", false),
            ("a\"b", false),
            (&*"a".repeat(128), true),
            (&*"a".repeat(129), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_str(id).unwrap());
            assert_eq!(request_id(&headers) == id, taken, "{id}");
        }
        assert_ne!(request_id(&HeaderMap::new()), request_id(&HeaderMap::new()));
    }

    #[test]
    fn heads_are_bounded() {
        let status = |uri: &str, header: usize| {
            let mut headers = HeaderMap::new();
            headers.insert("x", HeaderValue::from_str(&"v".repeat(header)).unwrap());
            within_limits(&uri.parse().unwrap(), &headers)
                .err()
                .map(|error| error.status().as_u16())
        };
        assert_eq!(status("/arxiv?title=x", 10), None);
        assert_eq!(
            status(&format!("/arxiv?title={}", "x".repeat(16 * 1024)), 10),
            Some(414)
        );
        assert_eq!(status("/arxiv", 16 * 1024), Some(431));
    }
}
