//! GET /arxiv: a search, whose result is waited for.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use crd::CachePolicy;
use http::{HeaderMap, header};
use jiff::Timestamp;
use serde_json::json;
use wire::{declared::Param, headers::prefer::Preferences};

use super::{
    Arxiv,
    responses::{Accepted, NAME, accepted, location, location_of},
    search_params::{MAX_RESULTS_WANTED, SearchParams},
};
use crate::{
    auth::correlation::Correlation,
    error::{ApiError, Code},
    http::middleware::CallLog,
    jobs::idempotency::IdempotencyKey,
    jobs::outcome::{SearchResponse, outcome},
    jobs::submit::{SubmitRequest, removed},
    jobs::view::QueryView,
    limits::client::Client,
    openapi::{Operation, bad_integer},
    routes::request::{Incoming, Input, ReadRequest, SearchCharge},
};

#[derive(Debug)]
pub(crate) struct SearchRequest {
    params: SearchParams,
    key: Option<IdempotencyKey>,
    preferences: Preferences,
}

impl ReadRequest for SearchRequest {
    const PARAMS: &'static [&'static [Param]] = &[SearchParams::DECLARED];

    async fn read(request: Incoming) -> Result<Self, ApiError> {
        let headers = request.headers();
        let mut params = SearchParams::read(&request.query(), request.defaults().max_results)?;
        if refreshes(headers) {
            params.spec.cache_policy = CachePolicy::Refresh;
        }
        Ok(Self {
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
    correlation: Correlation,
    charge: SearchCharge,
    Input(request): Input<SearchRequest>,
) -> Result<Response, ApiError> {
    log.called(request.params.call("search"));
    charge.take(request.params.spec.max_results)?;
    let (searches, preferences) = (&arxiv.searches, request.preferences);
    let submit_request = SubmitRequest {
        spec: request.params.spec,
        key: request.key,
        client,
        correlation,
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

/// The live list: how many there are of each kind, the first of the queue, and the last that ended.
const LIVE: &str = "event: queries\nid: 9b2d5b48f0f3a6c1\nretry: 3000\ndata: \
    {\"counts\":{\"pending\":0,\"running\":0,\"suspended\":0},\"queries\":[],\"ended\":[]}\n\n";

pub(crate) fn describe(mut operation: Operation<'_>) -> Operation<'_> {
    let list = operation.schema::<Vec<QueryView>>();
    let schema = json!({"oneOf": [operation.schema::<SearchResponse>(), list]});
    let found = json!({"timestamp": 1_711_843_200, "status": 200, "num_results": 1234, "num_entries": 3});
    let unavailable = ApiError::unavailable(Code::KubernetesUnavailable);
    operation
        .named("search", "searches", "Search arXiv and wait for the end")
        .about(
            "Makes an `ArxivQuery` and waits for its end, up to a limit; then, or at once with \
             `Prefer: respond-async`, 202 with the address of its state. At least one search field is needed. \
             With `state` alone the queries are listed, a page at a time (`Link`), or live for a client that accepts \
             `text/event-stream`.",
        )
        .creates_query()
        .response(200, "The search has ended and its results are recorded; or the queries of a list.")
        .content("application/json", schema, found)
        .events(&["queries"], LIVE)
        .response(202, "The query is accepted and will run.")
        .json::<Accepted<'static>>(json!(Accepted::new(NAME, location(NAME))))
        .location()
        .retry_after()
        .invalid_search(bad_integer(&MAX_RESULTS_WANTED, "0"))
        .upstream_errors()
        .error("The query was removed before it ended.", &removed())
        .error("arXiv, or something that this needs, is unavailable for a moment.", &unavailable)
}
