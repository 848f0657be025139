//! GET /arxiv: a search becomes an `ArxivQuery`, and its end the answer.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{RawQuery, State},
    middleware::map_response,
    response::{IntoResponse, Response},
    routing::get,
};
use crd::{ArxivQuery, ArxivQuerySpec, FAIL_FAST_ANNOTATION, INSTANCE_LABEL};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde_json::json;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    app::MAX_WAITERS,
    arxiv_objects::{POLL_AFTER, location},
    error::{ApiError, Code, seconds},
    kubernetes::{
        objects::{KubernetesError, Objects},
        waiters::{News, Waiter, Waiters},
    },
    outcome::{Outcome, outcome},
    prefer::prefers_async,
    rate_limit::Bound,
    root_path::RootPath,
    routing::{no_store, only},
    wire::{query::Query, search::SearchParams},
};

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// What GET /arxiv needs.
pub(crate) struct Searches {
    pub(crate) objects: Arc<Objects>,
    pub(crate) waiters: Arc<Waiters>,
    /// The value of this process's label.
    pub(crate) instance: String,
    /// How long a client waits.
    pub(crate) wait: Duration,
    pub(crate) ttl_seconds: i32,
    pub(crate) fail_fast: bool,
    pub(crate) default_max_results: u32,
    /// What stands before the paths that bodies tell.
    pub(crate) root: RootPath,
    /// Cancelled when this process is asked to end.
    pub(crate) ending: CancellationToken,
}

pub(crate) fn routes(searches: Arc<Searches>) -> Router {
    // No HEAD: it would make an object that nobody is told of.
    let methods = only(get(search).head(crate::routing::method_not_allowed), "GET");
    Router::new().route(
        "/arxiv",
        methods.layer(map_response(no_store)).with_state(searches),
    )
}

/// 1. Read the parameters.
/// 2. Choose the object's name, and register for news of it.
/// 3. Make the object.
/// 4. Answer with its end; or with 202 when it takes too long, when the client asks for that, or when this process has
///    to end.
async fn search(
    State(searches): State<Arc<Searches>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let params = SearchParams::read(&Query::parse(query.as_deref()), searches.default_max_results)?;
    let call = params.call("search");
    service::notice!(component = "frontend", origin = "arxiv.search", "{call}: called");
    let limit = Instant::now() + searches.wait;
    let respond_async = prefers_async(&headers);
    let name = format!("arxiv-{}", Uuid::new_v4().simple());
    let object = searches.object(&name, &params, searches.fail_fast && !respond_async);
    let response = if respond_async {
        searches.make(&object).await?;
        let mut response = accepted(&name, &searches.root);
        response
            .headers_mut()
            .insert(PREFERENCE_APPLIED, HeaderValue::from_static("respond-async"));
        response
    } else {
        let waiter = searches
            .waiters
            .register(&name)
            .ok_or_else(|| ApiError::too_many_waiting(MAX_WAITERS))?;
        // A client that waits less than a create may take is told 202 after it nevertheless: it was accepted.
        searches.make(&object).await?;
        searches.end_of(&name, waiter, limit).await?
    };
    tracing::debug!(
        component = "frontend",
        origin = "arxiv.search",
        "{call}: returning {}",
        response.status()
    );
    Ok(response)
}

impl Searches {
    /// The object of a search. One that a caller waits for is not tried again, so that the caller gets arXiv's error,
    /// and for good.
    fn object(&self, name: &str, params: &SearchParams, fail_fast: bool) -> ArxivQuery {
        let spec = ArxivQuerySpec {
            author: params.search.author.clone(),
            title: params.search.title.clone(),
            journal: params.search.journal.clone(),
            // At most 30,000.
            max_results: i32::try_from(params.max_results).unwrap_or(i32::MAX),
            backoff_limit: fail_fast.then_some(0),
            ttl_seconds_after_finished: Some(self.ttl_seconds),
            ..ArxivQuerySpec::default()
        };
        let mut object = ArxivQuery::new(name, spec);
        object.metadata.labels = Some(BTreeMap::from([(
            INSTANCE_LABEL.to_owned(),
            self.instance.clone(),
        )]));
        object.metadata.annotations =
            fail_fast.then(|| BTreeMap::from([(FAIL_FAST_ANNOTATION.to_owned(), "true".to_owned())]));
        object
    }

    async fn make(&self, object: &ArxivQuery) -> Result<(), ApiError> {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        tracing::info!(
            component = "frontend",
            origin = "arxiv.create",
            "create(name={name:?}): called"
        );
        let created = self.objects.create(object).await?;
        let uid = created.metadata.uid.unwrap_or_default();
        tracing::debug!(
            component = "frontend",
            origin = "arxiv.create",
            "create(name={name:?}): returning {uid}"
        );
        Ok(())
    }

    async fn end_of(&self, name: &str, mut waiter: Waiter, limit: Instant) -> Result<Response, ApiError> {
        loop {
            let news = tokio::select! {
                news = waiter.news() => news,
                () = sleep_until(limit) => break,
                () = self.ending.cancelled() => return Ok(accepted(name, &self.root)),
            };
            match news {
                News::None => {}
                News::Finished(object) => {
                    return answer(&object).unwrap_or_else(|| Ok(accepted(name, &self.root)));
                }
                News::Look => match self.objects.get(name).await {
                    Ok(Some(object)) => {
                        if let Some(answer) = answer(&object) {
                            return answer;
                        }
                    }
                    Ok(None) => return Err(removed()),
                    // The next news, or the limit, will look again.
                    Err(error) => log_unseen(name, &error),
                },
            }
        }
        // The watch may be behind or away: at the limit the object itself decides.
        match self.objects.get(name).await {
            Ok(Some(object)) => answer(&object).unwrap_or_else(|| Ok(accepted(name, &self.root))),
            Ok(None) => Err(removed()),
            Err(error) => {
                log_unseen(name, &error);
                Ok(accepted(name, &self.root))
            }
        }
    }
}

fn log_unseen(name: &str, error: &KubernetesError) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        name,
        "cannot look at an object that is waited for"
    );
}

/// The answer once the object has ended.
fn answer(object: &ArxivQuery) -> Option<Result<Response, ApiError>> {
    match outcome(object, Timestamp::now()) {
        Outcome::Unfinished => None,
        Outcome::Found(found) => Some(Ok(Json(found).into_response())),
        Outcome::Error(error) => {
            let name = object.metadata.name.as_deref().unwrap_or_default();
            Some(Err(error.about(location(name))))
        }
    }
}

/// Somebody removed the object before its end was seen.
fn removed() -> ApiError {
    ApiError::new(Code::QueryRemoved, "The query was removed before it ended")
}

/// 202: the query is kept and will run; its state is at `Location`.
fn accepted(name: &str, root: &RootPath) -> Response {
    let body = json!({
        "detail": "The query is accepted and not finished yet; its state is at the address in Location",
        "code": Code::StillWaiting.as_str(),
        "name": name,
        "location": root.of(&location(name)),
    });
    let mut response = (StatusCode::ACCEPTED, Json(body)).into_response();
    if let Ok(location) = HeaderValue::from_str(&location(name)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, seconds(POLL_AFTER));
    response.extensions_mut().insert(Bound::Upstream);
    response
}
