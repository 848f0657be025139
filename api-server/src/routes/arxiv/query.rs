//! /arxiv/NAME: the state of one query, now and as it changes; its removal, its results.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Json, Router,
    extract::{Path, RawQuery, State},
    middleware::{from_fn, from_fn_with_state, map_response},
    response::{IntoResponse, Response},
    routing::get,
};
use crd::{ArxivQuery, Phase};
use http::{HeaderMap, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use service::logs::Call;
use storage::{EndedQuery, Ending, Reads, ResultRow};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{
    error::{ApiError, Code},
    http::middleware::calls::CallLog,
    http::middleware::compress::compress,
    http::middleware::methods::{method_not_allowed, no_store, only},
    http::middleware::unknown_params::strict,
    jobs::backlog::Backlog,
    jobs::client::Objects,
    jobs::view::QueryView,
    jobs::waiters::Waiters,
    limits::client::Client,
    limits::{response_memory::ResponseBudget, streams::StreamLimiter},
    output::lag::{self, Lag},
    routes::arxiv::events::one::Following,
    routes::arxiv::{events, unfinished},
    routes::results::{PageDefaults, PageParams, WantedOfOne, is_full, written},
};
use wire::{headers::link, query::QueryString};

/// When a client is asked to look again at a query that is not finished: a turn at arXiv comes every three seconds.
pub(crate) const POLL_AFTER: Duration = Duration::from_secs(3);
/// After so long a replica that is not behind has what a query recorded, if it is still there. Its own word may be a minute old:
/// so long it takes one whose primary falls silent to notice.
const LONG_AGO: SignedDuration = SignedDuration::from_mins(5);
/// How long a read waits for its replica.
const REPLICA_PATIENCE: Duration = Duration::from_secs(5);
const REPLICA_PAUSE: Duration = Duration::from_millis(200);

/// What /arxiv/NAME needs.
pub(crate) struct ObjectStates {
    pub(crate) objects: Arc<Objects>,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) backlog: Arc<Backlog>,
    pub(crate) streams: StreamLimiter,
    /// Without a database for reading there is no /arxiv/NAME/results, and nothing is told of objects that are gone.
    pub(crate) reads: Option<Reads>,
    /// How far that database is behind.
    pub(crate) lag: Lag,
    /// How far the one with the results is.
    pub(crate) results_lag: Lag,
    pub(crate) namespace: String,
    pub(crate) defaults: PageDefaults,
    pub(crate) responses: ResponseBudget,
}

/// What there is of a query.
enum Sight {
    Object(Box<ArxivQuery>),
    Gone(EndedQuery),
}

/// Where the state of an object is told.
pub(crate) fn location(name: &str) -> String {
    format!("/arxiv/{name}")
}

pub(crate) fn routes(states: Arc<ObjectStates>) -> Router {
    let tells_lag = from_fn_with_state(states.lag.clone(), lag::add_header);
    // What is removed needs no replica.
    let object = get(read_object).layer(tells_lag.clone()).delete(delete_object);
    let object = only(object, "GET, DELETE");
    let events = get(follow_object)
        .head(method_not_allowed)
        .layer(tells_lag.clone());
    let events = only(events, "GET");
    let router = Router::new()
        .route("/arxiv/{name}", strict(object, &[]).layer(map_response(no_store)))
        .route(
            "/arxiv/{name}/events",
            strict(events, &[]).layer(map_response(no_store)),
        );
    let router = if states.reads.is_some() {
        let results = strict(only(get(read_results), "GET"), &[WantedOfOne::DECLARED]);
        let results = results
            .layer(from_fn(compress))
            .layer(map_response(crate::http::middleware::methods::by_accept))
            .layer(tells_lag)
            .layer(from_fn_with_state(states.results_lag.clone(), lag::add_header))
            .layer(map_response(no_store));
        router.route("/arxiv/{name}/results", results)
    } else {
        router
    };
    router.with_state(states)
}

async fn read_object(
    State(states): State<Arc<ObjectStates>>,
    Path(name): Path<String>,
    Extension(client): Extension<Client>,
    log: CallLog,
) -> Result<Response, ApiError> {
    log.called(Call::new("read_object").arg("name", &name));
    Ok(match states.look(&client, &name).await? {
        Sight::Object(object) => states.state(&object),
        Sight::Gone(ended) => Json(QueryView::from_record(&name, &ended)).into_response(),
    })
}

/// The query's states, as they come, until its end.
async fn follow_object(
    State(states): State<Arc<ObjectStates>>,
    Path(name): Path<String>,
    log: CallLog,
    Extension(client): Extension<Client>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    log.called(Call::new("follow_object").arg("name", &name));
    // Before anything is done for it: a request that gets no stream takes no waiter's slot either.
    let slot = states.streams.acquire(&client)?;
    // Before the object is looked at, so that nothing is missed after that.
    let waiter = states.waiters.register(&name, Some(&client))?;
    match states.look(&client, &name).await? {
        Sight::Object(object) => {
            let following = Following {
                name,
                client,
                objects: Arc::clone(&states.objects),
                backlog: Arc::clone(&states.backlog),
                waiter,
                object: Arc::from(object),
                _slot: slot,
            };
            Ok(events::one::follow(following, &states.streams, &headers))
        }
        Sight::Gone(ended) => Ok(events::one::end(&QueryView::from_record(&name, &ended), &headers)),
    }
}

async fn delete_object(
    State(states): State<Arc<ObjectStates>>,
    Path(name): Path<String>,
    Extension(client): Extension<Client>,
    log: CallLog,
) -> Result<StatusCode, ApiError> {
    log.called(Call::new("delete_object").arg("name", &name));
    if is_name(&name) && states.objects.delete(Some(&client), &name).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::not_found())
    }
}

/// The results of a query that has succeeded; before, its state.
async fn read_results(
    State(states): State<Arc<ObjectStates>>,
    Path(name): Path<String>,
    log: CallLog,
    RawQuery(query): RawQuery,
    Extension(client): Extension<Client>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let wanted = WantedOfOne::read(&QueryString::parse(query.as_deref()), &headers, states.defaults)?;
    let page = wanted.page;
    let call = page.call("read_object_results").arg("name", &name);
    log.called(call);
    let failed = || {
        let error = ApiError::new(Code::QueryFailed, "The query failed and has no results");
        Err(error.about(location(&name)))
    };
    let (uid, ended) = match states.look(&client, &name).await? {
        Sight::Gone(ended) => match ended.ending {
            Ending::Recorded(_) => (Some(ended.uid), ended.recorded_at),
            Ending::Failed(_) => return failed(),
        },
        Sight::Object(object) => match object.phase() {
            Phase::Pending | Phase::Running | Phase::Suspended => return Ok(states.state(&object)),
            Phase::Failed => return failed(),
            Phase::Succeeded => {
                let uid = object.metadata.uid.as_deref();
                let ended = object
                    .status
                    .as_ref()
                    .and_then(|status| status.completion_time.as_ref());
                (
                    uid.and_then(|uid| Uuid::try_parse(uid).ok()),
                    ended.map(|time| time.0),
                )
            }
        },
    };
    let reservation = states.responses.reserve(&client, page.items_per_page).await?;
    let uid = uid.ok_or_else(ApiError::internal)?;
    let rows = states.results(uid, ended, page).await;
    let rows = rows.map_err(|error| error.about(location(&name)))?;
    let next = page.page.checked_add(1);
    let next = next.filter(|_| is_full(rows.len(), page.items_per_page));
    let next = next.and_then(|next| link::next(query.as_deref(), &["page"], "page", &next.to_string()));
    let mut response = written(wanted.format, &rows, reservation)?;
    if let Some(next) = next {
        response.headers_mut().insert(header::LINK, next);
    }
    Ok(response)
}

impl ObjectStates {
    /// 200 at the end, 202 before it.
    fn state(&self, object: &ArxivQuery) -> Response {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let body = Json(QueryView::from_object(object, self.backlog.position(name))).into_response();
        if object.phase().is_final() {
            body
        } else {
            unfinished(body)
        }
    }

    async fn find(&self, client: &Client, name: &str) -> Result<ArxivQuery, ApiError> {
        if !is_name(name) {
            return Err(ApiError::not_found());
        }
        self.objects
            .get(Some(client), name)
            .await?
            .ok_or_else(ApiError::not_found)
    }

    /// The object, or how it ended if it is gone.
    async fn look(&self, client: &Client, name: &str) -> Result<Sight, ApiError> {
        let gone = match self.find(client, name).await {
            Ok(object) => return Ok(Sight::Object(Box::new(object))),
            Err(error) => error,
        };
        let Some(reads) = self
            .reads
            .as_ref()
            .filter(|_| gone.is(Code::NotFound) && is_name(name))
        else {
            return Err(gone);
        };
        match reads.ended(&self.namespace, name).await? {
            Some(ended) => Ok(Sight::Gone(ended)),
            // It may have been there a moment ago.
            None if self.lag.is_notable() => Err(ApiError::unavailable(Code::NotReplicated)),
            None => Err(gone),
        }
    }

    /// Waits, bounded, until the replica has what the object's status tells of already; unless that is there no more.
    async fn results(
        &self,
        uid: Uuid,
        ended: Option<Timestamp>,
        page: PageParams,
    ) -> Result<Vec<ResultRow>, ApiError> {
        let reads = self.reads.as_ref().ok_or_else(ApiError::not_found)?;
        let limit = Instant::now() + REPLICA_PATIENCE;
        let ended_long_ago = ended.is_some_and(|ended| Timestamp::now().duration_since(ended) > LONG_AGO);
        loop {
            let read = reads.results_of(uid, page.page, page.items_per_page);
            let rows = tokio::time::timeout_at(limit, read)
                .await
                .map_err(|_| ApiError::unavailable(Code::NotReplicated))??;
            match rows {
                Some(rows) => return Ok(rows),
                None if ended_long_ago && reads.is_without_results_of(uid).await? => {
                    let text = "The query succeeded, and its results are not kept any more";
                    return Err(ApiError::new(Code::ResultsRemoved, text));
                }
                None if Instant::now() + REPLICA_PAUSE < limit => sleep(REPLICA_PAUSE).await,
                None => return Err(ApiError::unavailable(Code::NotReplicated)),
            }
        }
    }
}

/// Whether Kubernetes could have an object of this name: lower-case letters, digits, `-` and `.`.
pub(crate) fn is_name(name: &str) -> bool {
    let outer = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    name.len() <= 253
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.'))
        && outer(name.chars().next())
        && outer(name.chars().next_back())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_kubernetes() {
        for name in ["a", "arxiv-1", "a.b", "0"] {
            assert!(is_name(name), "{name}");
        }
        let long = "a".repeat(254);
        for name in [
            "", "-a", "a-", ".", "..", "A", "a/b", "a b", "a%2fb", "á", "a\n", &long,
        ] {
            assert!(!is_name(name), "{name}");
        }
    }
}
