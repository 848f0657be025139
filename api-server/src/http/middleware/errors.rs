//! Errors in one form, from whichever layer they come.

use std::{any::Any, ops::ControlFlow};

use axum::{
    BoxError,
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{
    Method,
    header::{ALLOW, CONTENT_TYPE},
};
use wire::root_path::RootPath;

use crate::{
    auth::correlation::Correlation,
    error::{ApiError, Code, negotiated, prefers_problem_details},
    http::middleware::around::Middleware,
};

/// Rewrites an error as problem details (RFC 9457) for a client that prefers them.
#[derive(Clone, Debug)]
pub(super) struct NegotiateErrors(pub(super) RootPath);

impl Middleware for NegotiateErrors {
    /// Whether the client prefers them, and the request's id.
    type Kept = (bool, Option<Correlation>);

    fn before(&self, request: &mut Request) -> ControlFlow<Response, Self::Kept> {
        let problem_details = prefers_problem_details(request.headers());
        ControlFlow::Continue((problem_details, request.extensions().get().cloned()))
    }

    fn after(&self, (problem_details, correlation): Self::Kept, response: Response) -> Response {
        let request_id = correlation.as_ref().map(Correlation::request_id);
        negotiated(response, problem_details, request_id, |path| self.0.of(path))
    }
}

/// Gives errors that no handler of ours made (those of the framework, of health and metrics) the form of all others. The
/// response to a HEAD has no body that could have another form.
#[derive(Clone, Copy, Debug)]
pub(super) struct NormalizeErrors;

impl Middleware for NormalizeErrors {
    /// Whether it is a HEAD.
    type Kept = bool;

    fn before(&self, request: &mut Request) -> ControlFlow<Response, bool> {
        ControlFlow::Continue(*request.method() == Method::HEAD)
    }

    fn after(&self, is_head: bool, response: Response) -> Response {
        let (status, headers) = (response.status(), response.headers());
        let is_json = headers
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind == "application/json");
        if is_head || is_json || !(status.is_client_error() || status.is_server_error()) {
            return response;
        }
        let mut error = ApiError::of_framework(status).into_response();
        if let Some(allow) = headers.get(ALLOW) {
            error.headers_mut().insert(ALLOW, allow.clone());
        }
        error
    }
}

/// 503, for the only error that the layers inside may end in: that of the timeout.
pub(super) async fn of_timeout(_elapsed: BoxError) -> Response {
    tracing::error!("a request took too long");
    ApiError::unavailable(Code::Overloaded).into_response()
}

/// 500. The panic's message was written to the log by the panic hook, with the place in the code.
pub(super) fn of_panic(_payload: Box<dyn Any + Send>) -> Response {
    tracing::error!("a request ended in a panic");
    ApiError::internal().into_response()
}
