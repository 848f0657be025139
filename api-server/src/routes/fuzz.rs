//! The reading of requests by itself, for fuzz targets.

use axum::{body::Body, response::IntoResponse};
use bytes::Bytes;
use http_body_util::BodyExt;

use crate::routes::{
    request::{Incoming, RequestContext},
    route::matches,
    table::ROUTES,
};

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
    let mut routes = ROUTES.iter();
    let route = routes.find(|route| matches(route.path, request.uri().path()))?;
    let operation = route.operation(request.method(), request.uri())?;
    let request = Incoming::new(request.map(Body::from), RequestContext::with_default_settings()?);
    Some(match (operation.read)(request).await {
        Ok(read) => Ok(read),
        Err(error) => {
            let response = error.into_response();
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.ok()?.to_bytes();
            Err(ErrorResponse { status, body })
        }
    })
}
