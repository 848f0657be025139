//! A line in the log for each request that is answered with a 4xx.

use axum::{extract::Request, middleware::Next, response::Response};
use http::{Method, Uri};

/// Most bytes of a path and query in the log; the rest is cut off (it is ASCII by then, percent-encoded).
const MAX_LOGGED_TARGET: usize = 600;

/// The middleware.
pub(super) async fn log(request: Request, next: Next) -> Response {
    // Cheap to keep, and formatted only for what is refused.
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let response = next.run(request).await;
    if response.status().is_client_error() {
        let (line, status) = (request_line(&method, &uri), response.status().as_u16());
        service::notice!(origin = "http", "{line}: answered with {status}");
    }
    response
}

/// The request's first line, without the version.
fn request_line(method: &Method, uri: &Uri) -> String {
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    let target = target
        .get(..MAX_LOGGED_TARGET)
        .map_or_else(|| target.to_owned(), |start| format!("{start}…"));
    format!("{method} {target}")
}
