//! Responses that must not be kept, as they differ each time.

use axum::response::Response;
use http::{HeaderValue, header};

/// The layer.
pub(super) fn no_store(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
