//! What is told of a query, wherever it is told.

use std::collections::BTreeMap;

use crd::{ArxivQuery, ConditionType, Phase};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use storage::{EndedQuery, Ending};
use uuid::Uuid;

use crate::jobs::backlog::{InQueue, Searched, Waiting};

/// How a query stands.
#[derive(Debug, JsonSchema, Serialize)]
pub(crate) struct ObjectState<'a> {
    pub(crate) name: &'a str,
    #[schemars(with = "Option<String>")]
    pub(crate) uid: Option<Uuid>,
    pub(crate) phase: Phase,
    /// What is searched for, in short.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub(crate) search: Option<Searched>,
    pub(crate) query_id: Option<i64>,
    pub(crate) timestamp: Option<i64>,
    pub(crate) status: Option<i32>,
    pub(crate) num_results: Option<i64>,
    pub(crate) num_entries: Option<i64>,
    pub(crate) query: Option<&'a str>,
    pub(crate) attempts: Option<i32>,
    /// Why it has failed, in a word.
    pub(crate) reason: Option<&'a str>,
    pub(crate) message: Option<&'a str>,
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub(crate) created: Option<Timestamp>,
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub(crate) started: Option<Timestamp>,
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub(crate) finished: Option<Timestamp>,
    /// Its place, while it waits and the place is known.
    pub(crate) queue: Option<InQueue>,
    /// Whether its object is gone: then this is what was recorded of it. Left out otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(default)]
    pub(crate) removed: bool,
}

impl<'a> ObjectState<'a> {
    pub(crate) fn of(object: &'a ArxivQuery, queue: Option<InQueue>) -> Self {
        let status = object.status.as_ref();
        let metadata = &object.metadata;
        Self {
            name: metadata.name.as_deref().unwrap_or_default(),
            uid: metadata.uid.as_deref().and_then(|uid| Uuid::try_parse(uid).ok()),
            phase: object.phase(),
            search: Some(Searched::of(&object.spec)),
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

    /// The same of how the object of this name ended, when it is gone.
    pub(crate) fn of_ended(name: &'a str, ended: &'a EndedQuery) -> Self {
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

    /// The same of what is held of a waiting query.
    pub(crate) fn of_waiting(name: &'a str, waiting: &'a Waiting, queue: Option<InQueue>) -> Self {
        Self {
            name,
            uid: Some(waiting.uid),
            phase: waiting.phase,
            search: Some(waiting.search.clone()),
            query_id: None,
            timestamp: None,
            status: None,
            num_results: waiting.num_results,
            num_entries: waiting.num_entries,
            query: None,
            attempts: waiting.attempts,
            reason: None,
            message: waiting.message.as_deref(),
            created: Some(waiting.created),
            started: waiting.started,
            finished: None,
            queue,
            removed: false,
        }
    }

    /// As text; the types hold nothing that JSON could not.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Why the object has failed, if it has.
fn failure(object: &ArxivQuery) -> Option<&str> {
    let ready = object.condition(ConditionType::Ready)?;
    (object.phase() == Phase::Failed).then_some(ready.reason.as_str())
}
