//! `ArxivFeed`: a search that runs again and again, and whose new papers are kept in order.

mod name;
mod schema;
mod status;
mod webhook;
mod words;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub(crate) use self::schema::definition;
pub use self::{
    name::{MAX_FEED_NAME, is_feed_name},
    status::ArxivFeedStatus,
    webhook::{SecretKeyRef, Webhook},
    words::{FeedCondition, FeedReason, InitialItems, Revisions},
};
use self::{
    name::{name_has_no_format, name_is_short},
    schema::feed_class_is_fixed,
};
use crate::{ArxivSearch, CachePolicy};

/// Label of the runs of a feed: the feed's name.
pub const FEED_LABEL: &str = "arxiv-operator.dev/feed";

/// A standing search: when it runs, what it searches for, and what becomes an item of the feed.
#[derive(CustomResource, KubeSchema, Clone, Debug, Deserialize, PartialEq, Serialize)]
#[kube(
    group = "arxiv-operator.dev",
    version = "v1alpha1",
    kind = "ArxivFeed",
    plural = "arxivfeeds",
    namespaced,
    status = "ArxivFeedStatus",
    derive = "PartialEq",
    shortname = "af",
    category = "arxiv",
    doc = "A standing search: it runs on a schedule, and each version of a paper that it finds becomes an item once.",
    selectable = ".spec.className",
    printcolumn(name = "Schedule", type_ = "string", json_path = ".spec.schedule"),
    printcolumn(name = "Suspend", type_ = "boolean", json_path = ".spec.suspend"),
    printcolumn(name = "Items", type_ = "integer", json_path = ".status.items"),
    printcolumn(name = "New", type_ = "integer", json_path = ".status.lastNewItems"),
    printcolumn(name = "Last-Run", type_ = "date", json_path = ".status.lastScheduleTime"),
    // No date: kubectl prints how long ago one is, which a time to come is not.
    printcolumn(name = "Next-Run", type_ = "string", json_path = ".status.nextScheduleTime"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Complete", type_ = "date", json_path = ".status.lastCompleteTime", priority = 1),
    printcolumn(name = "Time-Zone", type_ = "string", json_path = ".spec.timeZone", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1),
    validation = name_is_short(),
    validation = name_has_no_format()
)]
#[x_kube(validation = feed_class_is_fixed())]
#[serde(rename_all = "camelCase")]
pub struct ArxivFeedSpec {
    /// When the search runs, as of a CronJob: minute, hour, day of the month, month, day of the week, for example
    /// `17 6 * * 1-5`; or `@hourly`, `@daily`, `@weekly`, `@monthly` or `@yearly`. A new schedule counts from the last run.
    #[schemars(length(max = 100))]
    pub schedule: String,

    /// The time zone of the schedule, as the IANA database names it, for example `Europe/Budapest`. One time a day comes
    /// once each day: right after the change if clocks are put forward over it, the first time if they are put back over it.
    /// A schedule with several hours or minutes goes by what clocks show.
    #[serde(default = "default_time_zone")]
    #[schemars(length(max = 64))]
    pub time_zone: String,

    /// While this is true, no run starts. A run that has started ends. After that, everything that was missed is covered
    /// by one run.
    #[serde(default)]
    pub suspend: bool,

    /// Each run starts up to this many seconds after its scheduled time: always the same number for one feed, another one
    /// for the next feed. So many feeds with one schedule do not start at once.
    #[serde(default)]
    #[schemars(range(min = 0, max = 86_400))]
    pub jitter_seconds: i64,

    /// A run that could not start within this many seconds after its time does not start at all; the next one covers its
    /// time too. Without it, the last missed run starts whenever that is possible.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 31_536_000))]
    pub starting_deadline_seconds: Option<i64>,

    /// What to search for, as in an ArxivQuery. Another search makes another feed of this one: everything that it finds is
    /// new.
    pub search: ArxivSearch,

    /// The most papers that one run looks at. If there are more that have changed since the last complete run, the next
    /// run goes on, with 100 papers at least, and the condition `Complete` is False until all were looked at.
    #[serde(default = "default_max_results_per_run")]
    #[schemars(range(min = 1, max = 30_000))]
    pub max_results_per_run: i32,

    /// How many days before the last complete run each run looks again: papers appear in arXiv's search up to some days
    /// after the date that they have there. What was found before is not found again.
    #[serde(default = "default_lookback_days")]
    #[schemars(range(min = 1, max = 365))]
    pub lookback_days: i32,

    /// Whether the papers that the first run finds become items (`Include`), or are only marked as seen (`Skip`).
    #[serde(default)]
    pub initial_items: InitialItems,

    /// Whether a new version of a paper that is in the feed becomes an item (`Include`), or not (`Ignore`).
    #[serde(default)]
    pub revisions: Revisions,

    /// How many runs that succeeded are kept as objects. Their papers stay in the database.
    #[serde(default = "default_successful_limit")]
    #[schemars(range(min = 0, max = 100))]
    pub successful_queries_history_limit: i32,

    /// How many runs that failed are kept as objects.
    #[serde(default = "default_failed_limit")]
    #[schemars(range(min = 0, max = 100))]
    pub failed_queries_history_limit: i32,

    /// What the ArxivQuery of each run has in addition to the search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_template: Option<QueryTemplate>,

    /// Receivers of new items: each gets a signed request with them, at least once and in their order. One that does not
    /// accept it gets it again, for three days.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub webhooks: Vec<Webhook>,

    /// For how many days an item stays in the feed. A paper whose item is gone does not become an item again.
    #[serde(default = "default_item_retention_days")]
    #[schemars(range(min = 1, max = 3_650))]
    pub item_retention_days: i32,

    /// The class of the feed and of its runs, as of an ArxivQuery. It cannot be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_name: Option<String>,
}

/// What the ArxivQuery of each run has in addition to the search.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueryTemplate {
    /// Metadata of the runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<TemplateMetadata>,

    /// How the runs are run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<TemplateSpec>,
}

/// Metadata of the runs.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TemplateMetadata {
    /// Labels of the runs. Those of `arxiv-operator.dev/` are the operator's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// How the runs are run, as in an ArxivQuery.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TemplateSpec {
    /// Runs with a higher priority get their turn at arXiv first; 0 if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,

    /// The number of unusable answers of arXiv that are retried before a run fails; 6 if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff_limit: Option<i32>,

    /// A run fails this many seconds after its first request to arXiv.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_deadline_seconds: Option<i64>,

    /// Whether pages that were fetched before a run was created may be used: `Reuse` takes every page of arXiv's current
    /// day, as its data changes once a day, so feeds with one search cost one request; `Refresh` takes none of them.
    /// `Reuse` if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_policy: Option<CachePolicy>,
}

fn default_time_zone() -> String {
    "UTC".to_owned()
}

fn default_max_results_per_run() -> i32 {
    2_000
}

fn default_lookback_days() -> i32 {
    14
}

fn default_successful_limit() -> i32 {
    3
}

fn default_failed_limit() -> i32 {
    1
}

fn default_item_retention_days() -> i32 {
    365
}

/// As Kubernetes fills in what is left out; without a schedule and without anything to search for.
impl Default for ArxivFeedSpec {
    fn default() -> Self {
        Self {
            schedule: String::new(),
            time_zone: default_time_zone(),
            suspend: false,
            jitter_seconds: 0,
            starting_deadline_seconds: None,
            search: ArxivSearch::default(),
            max_results_per_run: default_max_results_per_run(),
            lookback_days: default_lookback_days(),
            initial_items: InitialItems::default(),
            revisions: Revisions::default(),
            successful_queries_history_limit: default_successful_limit(),
            failed_queries_history_limit: default_failed_limit(),
            query_template: None,
            webhooks: Vec::new(),
            item_retention_days: default_item_retention_days(),
            class_name: None,
        }
    }
}
