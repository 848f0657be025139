//! The observed state: counts, the number, times and conditions; never papers.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator tells of an ArxivQuery.
///
/// Kubernetes gives a new object `{observedGeneration: -1, phase: Pending}`, so that no tool takes it for done before
/// the operator has seen it.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ArxivQueryStatus {
    /// Where the query stands. Succeeded and Failed are final.
    #[serde(default)]
    pub phase: Phase,

    /// Ready (true once succeeded; its reason tells what a query waits for), Finished (true at both ends), Stalled
    /// (only once failed).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// The generation of the spec that this status is about; -1 before the operator has seen the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// The number in the database: `queries.query_id` and `results.query_id`. Given once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query_id: Option<i64>,

    /// When arXiv answered, in unix seconds; the database's time when the answer was fetched before this query came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<i64>,

    /// The HTTP status that arXiv's last answer came with or stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<i32>,

    /// How many papers arXiv found in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_results: Option<i64>,

    /// How many papers were stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_entries: Option<i64>,

    /// The search as it was sent and, where arXiv rewrote it, as arXiv ran it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub query: Option<String>,

    /// Requests to arXiv that failed in a way that counts against `backoffLimit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<i32>,

    /// When the query had its first turn at arXiv (or found the answer stored already).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,

    /// When the query ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,

    /// While arXiv is throttling: when it is asked again; of a query that failed of it, when asking again may have better
    /// luck.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Time>,

    /// One line for people: what it waits for, or how it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// Where a query stands.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
pub enum Phase {
    /// Waiting for its turn.
    #[default]
    Pending,
    /// Had a turn and has more to do: further slices, or a retry.
    Running,
    /// Left alone until `spec.suspend` is false again.
    Suspended,
    /// Its rows are recorded. Final.
    Succeeded,
    /// It will not be tried again. Final.
    Failed,
}

impl Phase {
    /// Whether this phase is an end.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }

    /// The phase as it is written in objects and selectors.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Suspended => "Suspended",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The conditions that a status may hold. Each is stored twice by Kubernetes, so there are few.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConditionType {
    /// True once the query has succeeded; kstatus, Flux and `kubectl wait` look at it. While it is false, its reason tells
    /// what the query waits for.
    Ready,
    /// True at both ends: one condition to wait for, whatever the outcome.
    Finished,
    /// True once the query has failed; absent otherwise. For kstatus it means that an object will not become ready by
    /// itself, so a query that only waits (for arXiv, for a database) never has it.
    Stalled,
}

impl ConditionType {
    /// The condition's `type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Finished => "Finished",
            Self::Stalled => "Stalled",
        }
    }
}
