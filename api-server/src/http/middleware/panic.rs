//! Handlers that panic.

use std::any::Any;

use axum::response::{IntoResponse, Response};

use crate::error::ApiError;

/// 500. The panic's message was written to the log by the panic hook, with the place in the code.
pub(super) fn to_response(_payload: Box<dyn Any + Send>) -> Response {
    tracing::error!("a request ended in a panic");
    ApiError::internal().into_response()
}
