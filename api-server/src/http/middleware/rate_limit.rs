//! The fields `RateLimit` and `RateLimit-Policy` on responses that name a limit.

use std::sync::Arc;

use axum::response::Response;

use crate::{error::Limit, limits::headers::RateLimitHeaders};

/// The layer: a handler, or an error, puts the limit into the response's extensions.
pub(super) fn add_headers(fields: Arc<RateLimitHeaders>) -> impl FnOnce(Response) -> Response + Clone {
    move |mut response| {
        if let Some(bound) = response.extensions_mut().remove::<Limit>() {
            fields.apply(bound, response.headers_mut());
        }
        response
    }
}
