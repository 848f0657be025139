//! The reading of requests by itself, for fuzz targets.

use axum::{body::Body, extract::Request};
use bytes::Bytes;
use http_body_util::BodyExt;

use crate::routes::{context::RequestContext, table::ROUTES};

/// A response to a request that could not be read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ErrorResponse {
    /// The HTTP status.
    pub status: u16,
    /// The body: `{"detail": …}`.
    pub body: Bytes,
}

/// What the handler of a request would read from it, as text for people, with the default settings; `None` if there is
/// no such route or method.
///
/// Needs a runtime of tokio with time enabled.
pub async fn read(request: http::Request<Bytes>) -> Option<Result<String, ErrorResponse>> {
    let request: Request = request.map(Body::from);
    let mut routes = ROUTES.iter();
    let route = routes.find(|route| route.matches(request.uri().path()))?;
    let operation = route.operation(request.method(), request.uri())?;
    let context = RequestContext::with_default_settings()?;
    match (operation.read)(request, context).await {
        Ok(read) => Some(Ok(read)),
        Err(response) => {
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.ok()?.to_bytes();
            Some(Err(ErrorResponse { status, body }))
        }
    }
}
