//! The observed state: counts, the number, times and conditions; never papers.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The state of an ArxivQuery, as the operator reports it.
///
/// Kubernetes gives a new object the status `{observedGeneration: -1, phase: Pending}`, so that no tool takes
/// it for done before the operator has seen it.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ArxivQueryStatus {
    /// The phase of the query. Succeeded and Failed are final.
    #[serde(default)]
    pub phase: Phase,

    /// Ready (true after success; while false, its reason says what the query waits for), Finished (true
    /// after success and after failure), Stalled (only after failure).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// The generation of the spec that this status is about; -1 before the operator has seen the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// The number in the database: `queries.query_id` and `results.query_id`. It is assigned once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query_id: Option<i64>,

    /// When arXiv answered, in unix seconds. For a page that was stored before this query was created, it is
    /// the time of the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<i64>,

    /// The HTTP status of arXiv's last answer, or the status that a missing or unusable answer corresponds
    /// to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<i32>,

    /// The number of papers that arXiv found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_results: Option<i64>,

    /// The number of papers that were stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_entries: Option<i64>,

    /// The search as it was sent and, where arXiv rewrote it, as arXiv ran it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub query: Option<String>,

    /// The number of failed requests to arXiv that count against `backoffLimit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<i32>,

    /// When the query had its first turn at arXiv, or found its page stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,

    /// When the query succeeded or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,

    /// While arXiv throttles: when requests go on. After a failure because of throttling: when to try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Time>,

    /// One line for people: what the query waits for, or how it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// The phase of a query.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
pub enum Phase {
    /// Waiting for its turn.
    #[default]
    Pending,
    /// It had a turn and needs more: further slices, or a retry.
    Running,
    /// It does not run until `spec.suspend` is false again.
    Suspended,
    /// Its rows are recorded. Final.
    Succeeded,
    /// It will not be tried again. Final.
    Failed,
}

impl Phase {
    /// Whether this phase is final.
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

/// The conditions of a status. Kubernetes stores each one twice, so there are few.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConditionType {
    /// True after success; kstatus, Flux and `kubectl wait` read it. While it is false, its reason says what
    /// the query waits for.
    Ready,
    /// True after success and after failure: one condition to wait for, whatever the outcome.
    Finished,
    /// True after failure; absent otherwise. For kstatus it means that an object will not become ready by
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
