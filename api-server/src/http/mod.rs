//! The HTTP server: accepting connections, and the middleware around every route.

pub(crate) mod events;
pub(crate) mod middleware;
pub(crate) mod server;
mod stream;
pub(crate) mod tls;

use axum::{
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use http::{HeaderValue, header};

use crate::error::{ApiError, Code};

/// The methods; every other one is answered 405 with this `Allow`.
pub(crate) fn allow_methods<S: Clone + Send + Sync + 'static>(
    methods: MethodRouter<S>,
    allow: &'static str,
) -> MethodRouter<S> {
    methods.fallback(move || async move { method_not_allowed(allow) })
}

/// 405.
pub(crate) fn method_not_allowed(allow: &'static str) -> Response {
    let error = ApiError::new(Code::MethodNotAllowed, "Method Not Allowed");
    ([(header::ALLOW, HeaderValue::from_static(allow))], error).into_response()
}
