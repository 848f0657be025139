//! GET /arxiv: a search, whose result is waited for.

use axum::{
    Json,
    extract::{FromRef, FromRequestParts, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, header, request::Parts};
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
    routes::context::{RequestContext, query_string},
    routes::route::Declared,
};

/// What is read from the request.
#[derive(Debug)]
pub(crate) struct SearchRequest {
    params: SearchParams,
    query: NewQuery,
    key: Option<IdempotencyKey>,
    preferences: Preferences,
}

impl Declared for SearchRequest {
    const PARAMS: &'static [&'static [Param]] = &[SearchParams::DECLARED];
}

impl<S> FromRequestParts<S> for SearchRequest
where
    S: Sync,
    RequestContext: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let limits = RequestContext::from_ref(state).defaults.query;
        let params = SearchParams::read(&query_string(parts), limits.default_max_results)?;
        Ok(Self {
            query: NewQuery::of_params(&params, refreshes(&parts.headers))?,
            key: IdempotencyKey::read(&parts.headers)?,
            preferences: Preferences::read(&parts.headers),
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
    State(Arxiv { searches, .. }): State<Arxiv>,
    log: CallLog,
    client: Client,
    request: SearchRequest,
) -> Result<Response, ApiError> {
    log.called(request.params.call("search"));
    let preferences = request.preferences;
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
