//! Responses that several handlers of /arxiv make.

use std::time::Duration;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use crd::ArxivQuery;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use wire::root_path::RootPath;

use crate::{
    error::Limit,
    error::{Code, seconds},
};

/// When a client should read the state of an unfinished query again: a turn at arXiv comes every three seconds.
const POLL_AFTER: Duration = Duration::from_secs(3);

/// The path of the query with this name.
pub(super) fn location(name: &str) -> String {
    format!("/arxiv/{name}")
}

/// The path of an object.
pub(super) fn location_of(object: &ArxivQuery) -> String {
    location(object.metadata.name.as_deref().unwrap_or_default())
}

/// Adds `Location`.
pub(super) fn locate(object: &ArxivQuery, response: &mut Response) {
    if let Ok(location) = HeaderValue::from_str(&location_of(object)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
}

/// 202: the query is kept and will run; its state is at `Location`.
pub(super) fn accepted(object: &ArxivQuery, root: &RootPath) -> Response {
    let body = json!({
        "detail": "The query is accepted and not finished yet; its state is at the address in Location",
        "code": Code::StillWaiting.as_str(),
        "name": object.metadata.name,
        "location": root.of(&location_of(object)),
    });
    let mut response = unfinished(Json(body).into_response());
    locate(object, &mut response);
    response
}

/// 202, and when to come back.
pub(super) fn unfinished(mut response: Response) -> Response {
    *response.status_mut() = StatusCode::ACCEPTED;
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, seconds(POLL_AFTER));
    response.extensions_mut().insert(Limit::Upstream);
    response
}
