//! Requests that take too long.

use axum::{
    BoxError,
    response::{IntoResponse, Response},
};

use crate::error::{ApiError, Code};

/// 503, for the only error that the layers inside may end in: that of the timeout.
pub(super) async fn to_response(_elapsed: BoxError) -> Response {
    tracing::error!("a request took too long");
    ApiError::unavailable(Code::Overloaded).into_response()
}
