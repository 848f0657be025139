//! /arxiv/NAME: the state of one query, its removal, its results.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Json, Router,
    extract::{Path, RawQuery, State},
    middleware::map_response,
    response::{IntoResponse, Response},
    routing::get,
};
use crd::{ArxivQuery, ArxivQueryStatus, Phase};
use http::{StatusCode, header};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::Serialize;
use service::logs::Call;
use storage::{Reads, ResultRow};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{
    error::{ApiError, Code, seconds},
    kubernetes::objects::Objects,
    rate_limit::Bound,
    results::{PageDefaults, PageParams},
    routing::{no_store, only},
    wire::query::Query,
};

/// When a client is asked to look again at a query that is not finished: a turn at arXiv comes every three seconds.
pub(crate) const POLL_AFTER: Duration = Duration::from_secs(3);
/// How long a read waits for its replica.
const REPLICA_PATIENCE: Duration = Duration::from_secs(5);
const REPLICA_PAUSE: Duration = Duration::from_millis(200);

/// What /arxiv/NAME needs.
pub(crate) struct ObjectStates {
    pub(crate) objects: Arc<Objects>,
    /// Without a database for reading there is no /arxiv/NAME/results.
    pub(crate) reads: Option<Reads>,
    pub(crate) defaults: PageDefaults,
}

/// Where the state of an object is told.
pub(crate) fn location(name: &str) -> String {
    format!("/arxiv/{name}")
}

pub(crate) fn routes(states: Arc<ObjectStates>) -> Router {
    let object = only(get(read_object).delete(delete_object), "GET, DELETE").layer(map_response(no_store));
    let router = Router::new().route("/arxiv/{name}", object);
    let router = if states.reads.is_some() {
        let results = only(get(read_results), "GET").layer(map_response(no_store));
        router.route("/arxiv/{name}/results", results)
    } else {
        router
    };
    router.with_state(states)
}

/// What is told of a query.
#[derive(Debug, JsonSchema, Serialize)]
pub(crate) struct ObjectState<'a> {
    name: &'a str,
    uid: Option<&'a str>,
    phase: Phase,
    query_id: Option<i64>,
    timestamp: Option<i64>,
    status: Option<i32>,
    num_results: Option<i64>,
    num_entries: Option<i64>,
    query: Option<&'a str>,
    attempts: Option<i32>,
    message: Option<&'a str>,
    created: Option<&'a Time>,
    started: Option<&'a Time>,
    finished: Option<&'a Time>,
}

impl<'a> ObjectState<'a> {
    fn of(object: &'a ArxivQuery, status: &'a ArxivQueryStatus) -> Self {
        Self {
            name: object.metadata.name.as_deref().unwrap_or_default(),
            uid: object.metadata.uid.as_deref(),
            phase: status.phase,
            query_id: status.query_id,
            timestamp: status.timestamp,
            status: status.http_status,
            num_results: status.num_results,
            num_entries: status.num_entries,
            query: status.query.as_deref(),
            attempts: status.attempts,
            message: status.message.as_deref(),
            created: object.metadata.creation_timestamp.as_ref(),
            started: status.start_time.as_ref(),
            finished: status.completion_time.as_ref(),
        }
    }
}

async fn read_object(
    State(states): State<Arc<ObjectStates>>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    service::notice!(
        component = "frontend",
        origin = "arxiv.read_object",
        "{}: called",
        Call::new("read_object").arg("name", &name)
    );
    Ok(state(&states.find(&name).await?))
}

/// 200 at the end, 202 before it.
fn state(object: &ArxivQuery) -> Response {
    let untouched = ArxivQueryStatus::default();
    let body = Json(ObjectState::of(
        object,
        object.status.as_ref().unwrap_or(&untouched),
    ));
    if object.phase().is_final() {
        body.into_response()
    } else {
        let retry_after = [(header::RETRY_AFTER, seconds(POLL_AFTER))];
        (
            StatusCode::ACCEPTED,
            retry_after,
            Extension(Bound::Upstream),
            body,
        )
            .into_response()
    }
}

async fn delete_object(
    State(states): State<Arc<ObjectStates>>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    service::notice!(
        component = "frontend",
        origin = "arxiv.delete_object",
        "{}: called",
        Call::new("delete_object").arg("name", &name)
    );
    if is_name(&name) && states.objects.delete(&name).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::not_found())
    }
}

/// The results of a query that has succeeded; before, its state.
async fn read_results(
    State(states): State<Arc<ObjectStates>>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let page = PageParams::alone(&Query::parse(query.as_deref()), states.defaults)?;
    let call = page.call("read_object_results").arg("name", &name);
    service::notice!(
        component = "frontend",
        origin = "arxiv.read_object_results",
        "{call}: called"
    );
    let object = states.find(&name).await?;
    match object.phase() {
        Phase::Pending | Phase::Running | Phase::Suspended => return Ok(state(&object)),
        Phase::Failed => {
            let error = ApiError::new(Code::QueryFailed, "The query failed and has no results");
            return Err(error.about(location(&name)));
        }
        Phase::Succeeded => {}
    }
    let uid = object
        .metadata
        .uid
        .as_deref()
        .and_then(|uid| Uuid::try_parse(uid).ok());
    Ok(Json(states.results(uid.ok_or_else(ApiError::internal)?, page).await?).into_response())
}

impl ObjectStates {
    async fn find(&self, name: &str) -> Result<ArxivQuery, ApiError> {
        if !is_name(name) {
            return Err(ApiError::not_found());
        }
        self.objects.get(name).await?.ok_or_else(ApiError::not_found)
    }

    /// Waits, bounded, until the replica has what the object's status tells of already.
    async fn results(&self, uid: Uuid, page: PageParams) -> Result<Vec<ResultRow>, ApiError> {
        let reads = self.reads.as_ref().ok_or_else(ApiError::not_found)?;
        let limit = Instant::now() + REPLICA_PATIENCE;
        loop {
            let read = reads.results_of(uid, page.page, page.items_per_page);
            let rows = tokio::time::timeout_at(limit, read)
                .await
                .map_err(|_| ApiError::unavailable(Code::NotReplicated))??;
            match rows {
                Some(rows) => return Ok(rows),
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
    use crd::ArxivQuerySpec;

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

    #[test]
    fn the_state_says_when_to_come_back() {
        let mut object = ArxivQuery::new("x", ArxivQuerySpec::default());
        let response = state(&object);
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        assert_eq!(response.headers()[header::RETRY_AFTER], "3");
        object.status = Some(ArxivQueryStatus {
            phase: Phase::Failed,
            ..ArxivQueryStatus::default()
        });
        let response = state(&object);
        assert_eq!(response.status(), StatusCode::OK);
        assert!(!response.headers().contains_key(header::RETRY_AFTER));
    }
}
