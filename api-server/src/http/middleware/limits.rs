//! Limits of a request's head, and of requests at once. (Bodies have limits of their own, where they are read.)

use std::ops::ControlFlow;

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, Uri};

use crate::{
    error::{ApiError, Code},
    http::middleware::around::Middleware,
};

/// Longest path and query. The longest values together take less, percent-encoded, for most alphabets.
const MAX_URI_BYTES: usize = 16 * 1024;
/// All headers together.
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// Set by the server on a request that comes when there are too many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Overloaded;

/// Whether a request counts towards no limit: health and metrics are answered at once, from what this process knows.
pub(crate) fn is_exempt(uri: &Uri) -> bool {
    ["/healthz", "/readyz", "/metrics"].contains(&uri.path())
}

/// The middleware.
#[derive(Clone, Copy, Debug)]
pub(super) struct CheckLimits;

impl Middleware for CheckLimits {
    type Kept = ();

    fn before(&self, request: &mut Request) -> ControlFlow<Response> {
        let overloaded = request.extensions().get::<Overloaded>();
        match check_head(request.uri(), request.headers()) {
            Err(error) => ControlFlow::Break(error.into_response()),
            Ok(()) if overloaded.is_some() => {
                ControlFlow::Break(ApiError::unavailable(Code::Overloaded).into_response())
            }
            Ok(()) => ControlFlow::Continue(()),
        }
    }
}

fn check_head(uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
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

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn long_uri_is_414_and_long_headers_are_431() {
        let status = |uri: &str, header: usize| {
            let mut headers = HeaderMap::new();
            headers.insert("x", HeaderValue::from_str(&"v".repeat(header)).unwrap());
            check_head(&uri.parse().unwrap(), &headers)
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
