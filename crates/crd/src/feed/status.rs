//! The observed state of a feed.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{ArxivFeed, FeedCondition};
use crate::status::is_restored;

/// The state of an ArxivFeed, as the operator reports it. Items, and up to where the feed is complete, are in the database.
///
/// Kubernetes gives a new object the status `{observedGeneration: -1}`, so that no tool takes it for done before the
/// operator has seen it.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ArxivFeedStatus {
    /// `Ready` is True while runs start on schedule and the last one did not fail. `Complete` is True when the last run
    /// looked at everything that had changed since the complete run before it. `Delivered`, of a feed with webhooks, is False
    /// while one fails or has missed something. `Stalled` is True while no run can start before the spec, or what the
    /// message names, is changed; otherwise there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// The generation of the spec that this status is about; -1 before the operator has seen the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// The name of the ArxivQuery that runs now, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub active: Option<String>,

    /// The scheduled time of the last run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_schedule_time: Option<Time>,

    /// When the last run that succeeded ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_successful_time: Option<Time>,

    /// When the feed was last complete: a run, or the last one of several, had looked at everything that had changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_complete_time: Option<Time>,

    /// When the next run starts, with the delay of `jitterSeconds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_schedule_time: Option<Time>,

    /// The number of new items of the last run that succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_new_items: Option<i64>,

    /// The number of items that the feed has had so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<i64>,

    /// One line for people: what the feed waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

impl ArxivFeed {
    /// Whether its deletion has begun. Finalizers may keep it for any time, but nothing takes the deletion back.
    pub fn is_being_deleted(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// Whether it was restored from a backup or in another cluster, so that it goes on as the feed that it was.
    pub fn is_restored(&self) -> bool {
        is_restored(&self.metadata)
    }

    /// The condition of this type, if there is one.
    pub fn condition(&self, condition: FeedCondition) -> Option<&Condition> {
        let mut conditions = self.status.as_ref()?.conditions.iter();
        conditions.find(|c| c.type_ == condition.as_str())
    }
}
