//! Requests, by endpoint, method and status, and how long they took.

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use http::Method;
use tokio::time::Instant;

use crate::app::metrics::{Counts, RequestLabels};

/// The middleware.
pub(super) async fn record(State(counts): State<Counts>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = method_label(request.method());
    // The path of the route, such as `/arxiv/{name}`, so that the label has few values.
    let endpoint = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "other".to_owned(), |path| path.as_str().to_owned());
    let response = next.run(request).await;
    let labels = RequestLabels {
        endpoint,
        method,
        status: response.status().as_u16(),
    };
    counts.answered(&labels, started.elapsed());
    response
}

/// A label with few values, whatever clients send.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
