//! /arxiv: a search becomes an `ArxivQuery`, and its end the answer; or the queries are listed.

pub(crate) mod events;
pub(crate) mod list;
pub(crate) mod new_query;
pub(crate) mod query;
pub(crate) mod search_params;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{RawQuery, Request, State},
    middleware::map_response,
    response::{IntoResponse, Response},
    routing::get,
};
use crd::ArxivQuery;
use http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde_json::json;
use service::logs::Call;

use crate::{
    error::Limit,
    error::{ApiError, Code, seconds},
    http::middleware::calls::CallLog,
    http::middleware::methods::{no_store, only},
    http::middleware::root_path::RootPath,
    http::middleware::unknown_params::{Known, strict_by},
    jobs::idempotency::IdempotencyKey,
    jobs::outcome::outcome,
    jobs::submit::{QuerySubmitter, SubmitRequest},
    jobs::view::QueryView,
    limits::request_body::{BodyBudget, SMALL_BODY},
    routes::arxiv::list::{ListParams, Lists},
    routes::arxiv::new_query::NewQuery,
    routes::arxiv::query::{POLL_AFTER, location},
    routes::arxiv::search_params::SearchParams,
};
use wire::{
    body::{Body, is_declared_otherwise},
    headers::prefer::Preferences,
    query::QueryString,
};

/// What /arxiv needs.
#[derive(Clone)]
pub(crate) struct Arxiv {
    pub(crate) searches: Arc<QuerySubmitter>,
    pub(crate) lists: Arc<Lists>,
    pub(crate) request_bodies: BodyBudget,
}

pub(crate) fn routes(arxiv: Arxiv) -> Router {
    // No HEAD: it would make an object that nobody is told of.
    let methods = only(
        get(search_or_list)
            .head(crate::http::middleware::methods::method_not_allowed)
            .post(create),
        // As the existing service has it, whose framework names the first methods of a path alone.
        "GET",
    );
    let methods = strict_by(methods, known).layer(map_response(no_store));
    Router::new().route("/arxiv", methods.with_state(arxiv))
}

/// What a read of this path may have in its query: a list knows nothing of a search's parameters, nor a search of a list's.
fn known(query: &QueryString) -> Known {
    if list::is_wanted(query) {
        &[ListParams::DECLARED]
    } else {
        &[SearchParams::DECLARED]
    }
}

/// A search; or, where there is none but a `state`, the list of queries.
async fn search_or_list(
    State(arxiv): State<Arxiv>,
    RawQuery(query): RawQuery,
    log: CallLog,
    headers: HeaderMap,
    extensions: Extensions,
) -> Result<Response, ApiError> {
    let query = QueryString::parse(query.as_deref());
    if list::is_wanted(&query) {
        // A list needs no key, but one that is none is told of wherever it is sent.
        IdempotencyKey::read(&headers)?;
        // Every request that passed the guards has one.
        let client = extensions.get().ok_or_else(ApiError::internal)?;
        return arxiv.lists.answer(&query, &headers, client, &log).await;
    }
    search(&arxiv.searches, &query, &headers, &extensions, &log).await
}

/// 200 with what was found, or arXiv's error; 202 when it takes too long, when the client asks for that, or when this
/// process has to end.
async fn search(
    searches: &QuerySubmitter,
    query: &QueryString,
    headers: &HeaderMap,
    extensions: &Extensions,
    log: &CallLog,
) -> Result<Response, ApiError> {
    let params = SearchParams::read(query, searches.limits.default_max_results)?;
    log.called(params.call("search"));
    let preferences = Preferences::read(headers);
    let submit_request = SubmitRequest {
        query: NewQuery::of_params(&params, refreshes(headers))?,
        key: IdempotencyKey::read(headers)?,
        client: extensions.get().cloned(),
        // One that a caller waits for is not tried again, so that the caller gets arXiv's error, and for good.
        fail_fast: searches.fail_fast && !preferences.respond_async,
        wait_timeout: preferences.patience(searches.wait),
    };
    let object = searches.run(submit_request).await?;
    let mut response = match outcome(&object, Timestamp::now()) {
        Some(Ok(found)) => Json(found).into_response(),
        Some(Err(error)) => return Err(error.about(address(&object))),
        None => accepted(&object, &searches.root),
    };
    preferences.tell_waiting(searches.wait, response.headers_mut());
    Ok(response)
}

/// 201 with the state of a query that has succeeded, whatever it found; arXiv's error when it has failed; 202 with its
/// state before that. Its address is told in each case.
async fn create(State(arxiv): State<Arxiv>, log: CallLog, request: Request) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let searches = &arxiv.searches;
    if is_declared_otherwise(&parts.headers) {
        let detail = "The body has to be JSON, declared as application/json";
        return Err(ApiError::new(Code::UnsupportedMediaType, detail));
    }
    let body = arxiv
        .request_bodies
        .read(parts.extensions.get(), &parts.headers, body, SMALL_BODY)
        .await?;
    let members = Body::read(&parts.headers, &body.bytes)?.into_object()?;
    let query = NewQuery::of_body(&members, searches.limits)?;
    drop(body);
    let call = Call::new("create_query")
        .arg("author", query.spec.author.as_deref())
        .arg("title", query.spec.title.as_deref())
        .arg("journal", query.spec.journal.as_deref());
    log.called(call);
    let preferences = Preferences::read(&parts.headers);
    let submit_request = SubmitRequest {
        query,
        key: IdempotencyKey::read(&parts.headers)?,
        client: parts.extensions.get().cloned(),
        // Tried again as the spec says: whoever posts is ready for a 202.
        fail_fast: false,
        wait_timeout: preferences.patience(searches.wait),
    };
    let object = searches.run(submit_request).await?;
    let mut response = match outcome(&object, Timestamp::now()) {
        Some(Err(error)) if object.phase() == crd::Phase::Failed => {
            error.about(address(&object)).into_response()
        }
        Some(_) => (StatusCode::CREATED, Json(QueryView::from_object(&object, None))).into_response(),
        None => {
            let name = object.metadata.name.as_deref().unwrap_or_default();
            let view = QueryView::from_object(&object, searches.backlog.position(name));
            unfinished(Json(view).into_response())
        }
    };
    locate(&object, &mut response);
    preferences.tell_waiting(searches.wait, response.headers_mut());
    Ok(response)
}

/// `Cache-Control: no-cache`: an answer that was fetched before will not do (RFC 9111, 5.2.1.4).
fn refreshes(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CACHE_CONTROL).into_iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|directive| directive.trim().eq_ignore_ascii_case("no-cache"))
}

fn address(object: &ArxivQuery) -> String {
    location(object.metadata.name.as_deref().unwrap_or_default())
}

/// 202: the query is kept and will run; its state is at `Location`.
fn accepted(object: &ArxivQuery, root: &RootPath) -> Response {
    let body = json!({
        "detail": "The query is accepted and not finished yet; its state is at the address in Location",
        "code": Code::StillWaiting.as_str(),
        "name": object.metadata.name,
        "location": root.of(&address(object)),
    });
    let mut response = unfinished(Json(body).into_response());
    locate(object, &mut response);
    response
}

/// 202, and when to come back.
pub(crate) fn unfinished(mut response: Response) -> Response {
    *response.status_mut() = StatusCode::ACCEPTED;
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, seconds(POLL_AFTER));
    response.extensions_mut().insert(Limit::Upstream);
    response
}

fn locate(object: &ArxivQuery, response: &mut Response) {
    if let Ok(location) = HeaderValue::from_str(&address(object)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
}
