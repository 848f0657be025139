//! The JSON view of a query: the same in every response and event.

use std::collections::BTreeMap;

use crd::{ArxivQuery, ArxivQueryStatus, ArxivSearch, ConditionType, Phase, SEARCH_FIELDS};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use storage::{EndedQuery, Ending};
use uuid::Uuid;

use crate::jobs::backlog::QueuePosition;

/// The state of a query.
#[derive(Clone, Debug, Default, JsonSchema, Serialize)]
pub(crate) struct QueryView {
    pub(crate) name: String,
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
    pub(crate) query: Option<String>,
    pub(crate) attempts: Option<i32>,
    /// Why it has failed, in one word.
    pub(crate) reason: Option<String>,
    pub(crate) message: Option<String>,
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub(crate) created: Option<Timestamp>,
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub(crate) started: Option<Timestamp>,
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub(crate) finished: Option<Timestamp>,
    /// Its position in the queue, while it waits and the position is known.
    pub(crate) queue: Option<QueuePosition>,
    /// True if the object was deleted, and while its deletion is in progress; then this is what was recorded of it. Left
    /// out otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(default)]
    pub(crate) removed: bool,
}

impl QueryView {
    /// The view of an object.
    pub(crate) fn from_object(object: &ArxivQuery, queue: Option<QueuePosition>) -> Self {
        let (metadata, none) = (&object.metadata, ArxivQueryStatus::default());
        let status = object.status.as_ref().unwrap_or(&none);
        let ready = object.condition(ConditionType::Ready);
        let time = |time: &Option<Time>| time.as_ref().map(|time| time.0);
        Self {
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.as_deref().and_then(|uid| Uuid::try_parse(uid).ok()),
            phase: status.phase,
            search: Some(SearchSummary::of(&object.spec.search)),
            query_id: status.query_id,
            timestamp: status.answer_time.as_ref().map(|time| time.0.as_second()),
            status: status.http_status,
            num_results: status.total_results,
            num_entries: status.stored_results,
            query: status.query.clone(),
            attempts: status.attempts,
            reason: ready
                .filter(|_| status.phase == Phase::Failed)
                .map(|ready| ready.reason.clone()),
            message: status.message.clone(),
            created: time(&metadata.creation_timestamp),
            started: time(&status.start_time),
            finished: time(&status.completion_time),
            queue: queue.filter(|_| !status.phase.is_final()),
            removed: object.is_being_deleted(),
        }
    }

    /// The view of a deleted object of this name, from the record of its end.
    pub(crate) fn from_record(name: &str, ended: EndedQuery) -> Self {
        let view = Self {
            name: name.to_owned(),
            uid: Some(ended.uid),
            finished: ended.recorded_at,
            removed: true,
            ..Self::default()
        };
        match ended.ending {
            Ending::Recorded(recorded) => Self {
                phase: Phase::Succeeded,
                query_id: Some(recorded.query_id),
                timestamp: Some(recorded.timestamp),
                status: Some(recorded.status.into()),
                num_results: Some(recorded.num_results.into()),
                num_entries: Some(recorded.num_entries.into()),
                query: Some(recorded.query),
                message: Some(
                    "The query was removed after it had ended; this is what was recorded of it".into(),
                ),
                ..view
            },
            Ending::Failed(failure) => Self {
                phase: Phase::Failed,
                status: failure.http_status.map(i32::from),
                reason: Some(failure.reason),
                message: Some(failure.message),
                ..view
            },
        }
    }

    /// As JSON text. Serialising cannot fail: all fields have JSON types.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The search fields that are set, each with the beginning of its value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct SearchSummary(Box<[(&'static str, Box<str>)]>);

impl SearchSummary {
    /// Longest value in characters; the rest is replaced by an ellipsis.
    const MAX_CHARS: usize = 120;

    fn of(search: &ArxivSearch) -> Self {
        let fields = SEARCH_FIELDS.iter();
        Self(
            fields
                .filter_map(|field| Some((field.member?, Self::cut(&field.text(search)?))))
                .collect(),
        )
    }

    fn cut(value: &str) -> Box<str> {
        match value.char_indices().nth(Self::MAX_CHARS) {
            Some((end, _)) => format!("{}…", value.get(..end).unwrap_or_default()).into(),
            None => value.into(),
        }
    }
}

impl Serialize for SearchSummary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_summary_cuts_long_values_at_a_character() {
        let search = ArxivSearch {
            author: Some("ű".repeat(SearchSummary::MAX_CHARS + 1)),
            title: Some("ű".repeat(SearchSummary::MAX_CHARS)),
            ..ArxivSearch::default()
        };
        let summary = serde_json::to_value(SearchSummary::of(&search)).unwrap();
        let whole = "ű".repeat(SearchSummary::MAX_CHARS);
        assert_eq!(
            summary,
            serde_json::json!({"author": format!("{whole}…"), "title": whole})
        );
    }
}
