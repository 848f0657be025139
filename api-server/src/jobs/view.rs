//! The JSON view of a query: the same in every response and event.

use std::collections::BTreeMap;

use crd::{ArxivQuery, ConditionType, Phase};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use storage::{EndedQuery, Ending};
use uuid::Uuid;

use crate::jobs::backlog::{QueuePosition, QueuedQuery, SearchSummary};

/// The state of a query.
#[derive(Debug, JsonSchema, Serialize)]
pub(crate) struct QueryView<'a> {
    pub(crate) name: &'a str,
    #[schemars(with = "Option<String>")]
    pub(crate) uid: Option<Uuid>,
    pub(crate) phase: Phase,
    /// The search, in short.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub(crate) search: Option<SearchSummary>,
    pub(crate) query_id: Option<i64>,
    pub(crate) timestamp: Option<i64>,
    pub(crate) status: Option<i32>,
    pub(crate) num_results: Option<i64>,
    pub(crate) num_entries: Option<i64>,
    pub(crate) query: Option<&'a str>,
    pub(crate) attempts: Option<i32>,
    /// Why it has failed, in one word.
    pub(crate) reason: Option<&'a str>,
    pub(crate) message: Option<&'a str>,
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub(crate) created: Option<Timestamp>,
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub(crate) started: Option<Timestamp>,
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub(crate) finished: Option<Timestamp>,
    /// Its position in the queue, while it waits and the position is known.
    pub(crate) queue: Option<QueuePosition>,
    /// True if the object was deleted: then this is what was recorded of it. Left out otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(default)]
    pub(crate) removed: bool,
}

impl<'a> QueryView<'a> {
    /// The view of an object.
    pub(crate) fn from_object(object: &'a ArxivQuery, queue: Option<QueuePosition>) -> Self {
        let status = object.status.as_ref();
        let metadata = &object.metadata;
        Self {
            name: metadata.name.as_deref().unwrap_or_default(),
            uid: metadata.uid.as_deref().and_then(|uid| Uuid::try_parse(uid).ok()),
            phase: object.phase(),
            search: Some(SearchSummary::of(&object.spec)),
            query_id: status.and_then(|status| status.query_id),
            timestamp: status.and_then(|status| status.timestamp),
            status: status.and_then(|status| status.http_status),
            num_results: status.and_then(|status| status.num_results),
            num_entries: status.and_then(|status| status.num_entries),
            query: status.and_then(|status| status.query.as_deref()),
            attempts: status.and_then(|status| status.attempts),
            reason: failure(object),
            message: status.and_then(|status| status.message.as_deref()),
            created: metadata.creation_timestamp.as_ref().map(|time| time.0),
            started: status.and_then(|status| Some(status.start_time.as_ref()?.0)),
            finished: status.and_then(|status| Some(status.completion_time.as_ref()?.0)),
            queue: queue.filter(|_| !object.phase().is_final()),
            removed: false,
        }
    }

    /// The view of a deleted object of this name, from the record of its end.
    pub(crate) fn from_record(name: &'a str, ended: &'a EndedQuery) -> Self {
        let state = Self {
            name,
            uid: Some(ended.uid),
            phase: Phase::Failed,
            search: None,
            query_id: None,
            timestamp: None,
            status: None,
            num_results: None,
            num_entries: None,
            query: None,
            attempts: None,
            reason: None,
            message: None,
            created: None,
            started: None,
            finished: ended.recorded_at,
            queue: None,
            removed: true,
        };
        match &ended.ending {
            Ending::Recorded(recorded) => Self {
                phase: Phase::Succeeded,
                query_id: Some(recorded.query_id),
                timestamp: Some(recorded.timestamp),
                status: Some(recorded.status.into()),
                num_results: Some(recorded.num_results.into()),
                num_entries: Some(recorded.num_entries.into()),
                query: Some(&recorded.query),
                message: Some("The query was removed after it had ended; this is what was recorded of it"),
                ..state
            },
            Ending::Failed(closing) => Self {
                status: closing.http_status.map(i32::from),
                reason: Some(&closing.reason),
                message: Some(&closing.message),
                ..state
            },
        }
    }

    /// The view of a queued query, from the backlog.
    pub(crate) fn from_queued(name: &'a str, queued: &'a QueuedQuery, queue: Option<QueuePosition>) -> Self {
        Self {
            name,
            uid: Some(queued.uid),
            phase: queued.phase,
            search: Some(queued.search.clone()),
            query_id: None,
            timestamp: None,
            status: None,
            num_results: queued.num_results,
            num_entries: queued.num_entries,
            query: None,
            attempts: queued.attempts,
            reason: None,
            message: queued.message.as_deref(),
            created: Some(queued.created),
            started: queued.started,
            finished: None,
            queue,
            removed: false,
        }
    }

    /// As JSON text. Serialising cannot fail: all fields have JSON types.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Why the object has failed, if it has.
fn failure(object: &ArxivQuery) -> Option<&str> {
    let ready = object.condition(ConditionType::Ready)?;
    (object.phase() == Phase::Failed).then_some(ready.reason.as_str())
}
