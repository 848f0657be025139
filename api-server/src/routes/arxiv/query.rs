//! /arxiv/NAME: the state of one query, now and as it changes, and its removal.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use crd::ArxivQuery;
use http::StatusCode;
use service::logs::Call;
use storage::EndedQuery;

use super::{
    Arxiv,
    events::{self, QueryStream},
    responses::unfinished,
};
use crate::{
    auth::caller::Caller,
    auth::correlation::Correlation,
    error::{ApiError, Code},
    http::events::StreamEnd,
    http::middleware::CallLog,
    jobs::submit::{is_removed, removed},
    jobs::view::QueryView,
    limits::client::Client,
    openapi::Operation,
    routes::request::{FollowRequest, Input},
};

/// What a 410 means.
const REMOVED: &str = "The query was removed before it ended, and a finalizer still keeps its object.";

/// What there is of a query.
pub(super) enum Lookup {
    Live(Arc<ArxivQuery>),
    /// Its object is gone, and how it ended is recorded.
    Deleted(EndedQuery),
}

/// 200 with the query's state at its end, 202 before that.
pub(crate) async fn read_query(
    State(arxiv): State<Arc<Arxiv>>,
    Path(name): Path<String>,
    client: Client,
    log: CallLog,
) -> Result<Response, ApiError> {
    log.called(Call::new("read_object").arg("name", &name));
    Ok(match arxiv.lookup(&client, &name).await? {
        Lookup::Live(object) => arxiv.state(&object),
        Lookup::Deleted(ended) => Json(QueryView::from_record(&name, ended)).into_response(),
    })
}

/// A stream of the query's states, until its end.
pub(crate) async fn follow_query(
    State(arxiv): State<Arc<Arxiv>>,
    Path(name): Path<String>,
    log: CallLog,
    client: Client,
    caller: Caller,
    correlation: Correlation,
    Input(request): Input<FollowRequest>,
) -> Result<Response, ApiError> {
    log.called(Call::new("follow_object").arg("name", &name));
    // Before anything is done for it: a request that gets no stream takes no waiter's slot either.
    let slot = arxiv.streams.acquire(&client)?;
    let end = StreamEnd {
        caller,
        process: arxiv.streams.ending.clone(),
        correlation,
    };
    // Before the object is read, so that nothing is missed after that.
    let waiter = arxiv.searches.waiters.register(&name, &client)?;
    match arxiv.lookup(&client, &name).await? {
        Lookup::Live(object) => {
            let following = QueryStream {
                client,
                name,
                objects: Arc::clone(&arxiv.searches.objects),
                backlog: Arc::clone(&arxiv.searches.backlog),
                waiter,
                object,
                _slot: slot,
            };
            Ok(events::follow_query(following, end, request.last_event_id))
        }
        Lookup::Deleted(ended) => {
            let view = QueryView::from_record(&name, ended);
            Ok(events::end(&view, end, request.last_event_id))
        }
    }
}

/// 204. A client removes what was made for it; for other queries a caller needs the right in Kubernetes.
pub(crate) async fn delete_query(
    State(arxiv): State<Arc<Arxiv>>,
    Path(name): Path<String>,
    client: Client,
    caller: Caller,
    log: CallLog,
) -> Result<StatusCode, ApiError> {
    log.called(Call::new("delete_object").arg("name", &name));
    if !is_name(&name) {
        return Err(ApiError::not_found());
    }
    let objects = &arxiv.searches.objects;
    let object = objects.get(&client, &name).await?;
    let object = object.ok_or_else(ApiError::not_found)?;
    if !arxiv.searches.is_made_for(&object, &client).await? {
        caller.check_right("delete", &arxiv.namespace, &name).await?;
    }
    let deleted = objects.delete(&client, &object).await?;
    arxiv.lookups.forget(Some(&name));
    if deleted {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::not_found())
    }
}

impl Arxiv {
    /// 200 at the end, 202 before it.
    pub(super) fn state(&self, object: &ArxivQuery) -> Response {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let position = self.searches.backlog.position(name);
        let body = Json(QueryView::from_object(object, position)).into_response();
        if object.phase().is_final() {
            body
        } else {
            unfinished(body)
        }
    }

    /// The object, or how it ended if it is gone; 410 while a finalizer keeps one that was removed before it ended.
    pub(super) async fn lookup(&self, client: &Client, name: &str) -> Result<Lookup, ApiError> {
        if !is_name(name) {
            return Err(ApiError::not_found());
        }
        match self.lookups.get(client, name).await? {
            Some(object) if is_removed(&object) => return Err(removed()),
            Some(object) => return Ok(Lookup::Live(object)),
            None => {}
        }
        let ended = match &self.reads {
            Some(reads) => reads.ended(&self.namespace, name).await?,
            None => None,
        };
        match ended {
            Some(ended) => Ok(Lookup::Deleted(ended)),
            // It may have been there a moment ago.
            None if self.lag.is_notable() => Err(ApiError::unavailable(Code::NotReplicated)),
            None => Err(ApiError::not_found()),
        }
    }
}

/// Whether Kubernetes could have an object of this name: lower-case letters, digits, `-` and `.`.
fn is_name(name: &str) -> bool {
    let is_outer = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= 253
        && name.starts_with(is_outer)
        && name.ends_with(is_outer)
        && name.chars().all(|c| is_outer(c) || matches!(c, '-' | '.'))
}

pub(crate) fn describe_read(operation: Operation<'_>) -> Operation<'_> {
    operation
        .named("read_query", "searches", "The state of one query")
        .about(
            "A query whose object is gone, by its time to live or by hand, is described as its end was recorded: `removed` is \
             true, and what only the object knew is null: one that succeeded as long as its rows are kept, one that failed for \
             a week.",
        )
        .response(200, "It has ended.")
        .state(true)
        .replica_lag()
        .unfinished()
        .no_query()
        .error(REMOVED, &removed())
        .unavailable(Code::KubernetesUnavailable)
}

pub(crate) fn describe_delete(operation: Operation<'_>) -> Operation<'_> {
    operation
        .named("delete_query", "searches", "Remove one query")
        .about(
            "Ends it if it has not ended. What is recorded stays. A client removes the queries that were made for it; others \
             take a token of Kubernetes whose user may delete the object.",
        )
        .response(204, "It is removed.")
        .error("It was made for somebody else.", &ApiError::new(Code::Forbidden, "This query was not made here for you"))
        .no_query()
        .unavailable(Code::KubernetesUnavailable)
}

pub(crate) fn describe_follow(operation: Operation<'_>) -> Operation<'_> {
    let too_many = ApiError::new(Code::TooManyStreams, "Too many clients follow events");
    let example = "event: end\nid: 5d41402abc4b2a76\nretry: 3000\ndata: {\"phase\":\"Succeeded\"}\n\n";
    operation
        .named("follow_query", "searches", "The state of one query, live")
        .about(
            "Server-sent events: `state` at each change, then `end`, or `gone` when it is removed before. The data is \
             what GET /arxiv/NAME answers; for a query that was removed after its end, that is the only event. A client that \
             comes back with `Last-Event-ID` gets what is new, and after the end 204.",
        )
        .reads_header("Last-Event-ID", "The id of the event that was seen last.")
        .response(200, "The events.")
        .events(&["state", "end", "gone"], example)
        .response(204, "Its end was seen before.")
        .no_query()
        .error(REMOVED, &removed())
        .error("Too many clients follow events.", &too_many)
        .unavailable(Code::KubernetesUnavailable)
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
