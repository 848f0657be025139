//! Errors that no handler of ours made (those of the framework, of health and metrics) in the form of all others.

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{
    Method,
    header::{ALLOW, CONTENT_TYPE},
};

use crate::error::ApiError;

/// The middleware.
pub(super) async fn normalize_errors(request: Request, next: Next) -> Response {
    let is_head = *request.method() == Method::HEAD;
    let response = next.run(request).await;
    // The response to a HEAD has no body that could have another form.
    if is_head {
        return response;
    }
    normalize_error(response)
}

fn normalize_error(response: Response) -> Response {
    let status = response.status();
    let is_json = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind == "application/json");
    if is_json || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let mut error = ApiError::of_framework(status).into_response();
    if let Some(allow) = response.headers().get(ALLOW) {
        error.headers_mut().insert(ALLOW, allow.clone());
    }
    error
}
