//! GET /arxiv: a search, whose result is waited for.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, header};
use jiff::Timestamp;
use wire::{declared::Param, headers::prefer::Preferences};

use super::{
    Arxiv,
    new_query::NewQuery,
    responses::{accepted, location_of},
    search_params::SearchParams,
};
use crate::{
    error::ApiError,
    http::middleware::CallLog,
    jobs::idempotency::IdempotencyKey,
    jobs::outcome::outcome,
    jobs::submit::SubmitRequest,
    limits::client::Client,
    routes::request::{Incoming, Input, ReadRequest},
};

/// What is read from the request.
#[derive(Debug)]
pub(crate) struct SearchRequest {
    params: SearchParams,
    query: NewQuery,
    key: Option<IdempotencyKey>,
    preferences: Preferences,
}

impl ReadRequest for SearchRequest {
    const PARAMS: &'static [&'static [Param]] = &[SearchParams::DECLARED];

    async fn read(request: Incoming) -> Result<Self, ApiError> {
        let headers = request.headers();
        let params = SearchParams::read(&request.query(), request.defaults().max_results)?;
        Ok(Self {
            query: NewQuery::of_params(&params, refreshes(headers))?,
            key: IdempotencyKey::read(headers)?,
            preferences: Preferences::read(headers),
            params,
        })
    }
}

/// `Cache-Control: no-cache`: an answer that was fetched before will not do (RFC 9111, 5.2.1.4).
fn refreshes(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CACHE_CONTROL).into_iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|directive| directive.trim().eq_ignore_ascii_case("no-cache"))
}

/// 200 with what was found, or arXiv's error; 202 when it takes too long, when the client asks for that, or when this
/// process has to end.
pub(crate) async fn search(
    State(arxiv): State<Arc<Arxiv>>,
    log: CallLog,
    client: Client,
    Input(request): Input<SearchRequest>,
) -> Result<Response, ApiError> {
    log.called(request.params.call("search"));
    let (searches, preferences) = (&arxiv.searches, request.preferences);
    let submit_request = SubmitRequest {
        query: request.query,
        key: request.key,
        client: Some(client),
        // One that a caller waits for is not tried again, so that the caller gets arXiv's error, and for good.
        fail_fast: searches.fail_fast && !preferences.respond_async,
        wait_timeout: preferences.wait_timeout(searches.wait),
    };
    let object = searches.run(submit_request).await?;
    let mut response = match outcome(&object, Timestamp::now()) {
        Some(Ok(found)) => Json(found).into_response(),
        Some(Err(error)) => return Err(error.about(location_of(&object))),
        None => accepted(&object, &searches.root),
    };
    preferences.add_applied(searches.wait, response.headers_mut());
    Ok(response)
}
