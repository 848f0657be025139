//! The observed state: counts, the number, times and conditions; never papers.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::{ArxivQuery, ConditionType, FailurePolicy, Phase, RESTORED_ANNOTATION, VELERO_LABEL};

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

    /// `Ready` is True after success; while it is False, its reason says what the query waits for or why it failed.
    /// `Finished` is True after success and after failure. `Complete` is True after success, `Failed` and `Stalled` are
    /// after failure; otherwise there are none of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// The generation of the spec that this status is about; -1 before the operator has seen the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// The number in the database: `queries.query_id` and `results.query_id`. It is assigned once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query_id: Option<i64>,

    /// When arXiv answered; if its answer had been stored before this query was created, when the query was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_time: Option<Time>,

    /// The HTTP status of arXiv's last answer, or the status that a missing or unusable answer corresponds
    /// to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<i32>,

    /// The number of papers that match, as arXiv counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_results: Option<i64>,

    /// The number of papers that were stored: rows in the table `results`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored_results: Option<i64>,

    /// The search as it was sent and, where arXiv rewrote it, as arXiv ran it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub query: Option<String>,

    /// The number of failed requests to arXiv that count against `backoffLimit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<i32>,

    /// When the query was resumed, if it was suspended before its first turn: `pendingDeadlineSeconds` counts from here,
    /// and otherwise from the creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume_time: Option<Time>,

    /// When the query had its first turn at arXiv, or found its page stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,

    /// When the query succeeded or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,

    /// The time from `startTime` to `completionTime`, as `1m30s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub duration: Option<String>,

    /// While arXiv throttles: when requests go on. After a failure because of throttling: when to try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Time>,

    /// One line for people: what the query waits for, or how it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// Whether an object was restored from a backup, or in another cluster.
pub(crate) fn is_restored(metadata: &ObjectMeta) -> bool {
    let annotations = metadata.annotations.as_ref();
    let mark = annotations.and_then(|all| all.get(RESTORED_ANNOTATION));
    let labels = metadata.labels.as_ref();
    labels.is_some_and(|all| all.contains_key(VELERO_LABEL)) || mark.is_some_and(|value| value == "true")
}

impl ArxivQuery {
    /// The phase; an object without status is Pending.
    pub fn phase(&self) -> Phase {
        self.status.as_ref().map_or(Phase::Pending, |status| status.phase)
    }

    /// Whether the first error of arXiv, of any class, ends this query.
    pub fn fails_fast(&self) -> bool {
        self.spec.failure_policy == FailurePolicy::FailFast
    }

    /// Whether it was restored from a backup, so that it may have ended before under another uid.
    pub fn is_restored(&self) -> bool {
        is_restored(&self.metadata)
    }

    /// Whether the status is about another generation of the spec than the present one.
    pub fn is_outdated(&self) -> bool {
        let observed = self.status.as_ref().and_then(|status| status.observed_generation);
        self.metadata.generation.is_some() && observed != self.metadata.generation
    }

    /// Whether it has no status yet but that which Kubernetes gives a new object.
    pub fn is_unobserved(&self) -> bool {
        let observed = self.status.as_ref().and_then(|status| status.observed_generation);
        observed.is_none_or(|observed| observed < 0)
    }

    /// Whether its deletion has begun. Finalizers may keep it for any time, but nothing takes the deletion back.
    pub fn is_being_deleted(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// The condition of this type, if there is one.
    pub fn condition(&self, condition: ConditionType) -> Option<&Condition> {
        let mut conditions = self.status.as_ref()?.conditions.iter();
        conditions.find(|c| c.type_ == condition.as_str())
    }
}
