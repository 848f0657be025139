//! The format of errors: `{"detail": …}`, or problem details (RFC 9457) for a client that prefers them.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};

use super::root_path::RootPath;
use crate::error::{negotiated, prefers_problem_details};

/// The middleware.
pub(super) async fn negotiate(State(root): State<RootPath>, request: Request, next: Next) -> Response {
    let problem_details = prefers_problem_details(request.headers());
    let response = next.run(request).await;
    negotiated(response, problem_details, |path| root.of(path))
}
