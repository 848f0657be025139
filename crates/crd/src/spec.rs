//! The desired state: which search to run and how.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ArxivQueryStatus, ConditionType, FAIL_FAST_ANNOTATION, Phase, rules};

/// The default of `maxResults`.
const DEFAULT_MAX_RESULTS: i32 = 8;
/// The default of `backoffLimit`: that of a Kubernetes Job.
const DEFAULT_BACKOFF_LIMIT: i32 = 6;

/// An arXiv search to run. Its result is a number, one row in `queries`, and one row in `results` for each
/// paper.
// The documentation and the bounds of each field are in its row of `FIELDS`.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[kube(
    group = "arxiv-operator.dev",
    version = "v1alpha1",
    kind = "ArxivQuery",
    plural = "arxivqueries",
    namespaced,
    status = "ArxivQueryStatus",
    derive = "PartialEq",
    shortname = "aq",
    category = "arxiv",
    doc = "An arXiv search that runs as a job. It ends as Succeeded, with a number, or as Failed, with a reason.",
    selectable = ".status.phase",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Query-ID", type_ = "integer", json_path = ".status.queryId"),
    printcolumn(name = "Results", type_ = "integer", json_path = ".status.numResults"),
    printcolumn(name = "Entries", type_ = "integer", json_path = ".status.numEntries"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Query", type_ = "string", json_path = ".status.query", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1),
    validation = Rule::new(
        "!has(oldSelf.status) || !has(oldSelf.status.phase) \
         || !(oldSelf.status.phase in ['Succeeded', 'Failed']) \
         || (has(self.status) && has(self.status.phase) && self.status.phase == oldSelf.status.phase)"
    )
    .message("a finished ArxivQuery stays finished"),
    validation = Rule::new(
        "!has(oldSelf.status) || !has(oldSelf.status.queryId) \
         || (has(self.status) && has(self.status.queryId) && self.status.queryId == oldSelf.status.queryId)"
    )
    .message("status.queryId is given once")
)]
#[x_kube(
    validation = rules::has_search_field(),
    validation = rules::search_is_fixed(),
    validation = rules::dates_are_in_order()
)]
#[serde(rename_all = "camelCase")]
pub struct ArxivQuerySpec {
    /// [`AUTHOR`](crate::fields::AUTHOR)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,

    /// [`TITLE`](crate::fields::TITLE)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,

    /// [`JOURNAL`](crate::fields::JOURNAL)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal: Option<String>,

    /// [`ABSTRACT`](crate::fields::ABSTRACT)
    #[serde(rename = "abstract", skip_serializing_if = "Option::is_none")]
    pub abstract_text: Option<String>,

    /// [`CATEGORY`](crate::fields::CATEGORY)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,

    /// [`COMMENT`](crate::fields::COMMENT)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,

    /// [`REPORT_NUMBER`](crate::fields::REPORT_NUMBER)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report_number: Option<String>,

    /// [`ALL`](crate::fields::ALL)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<String>,

    /// [`ID_LIST`](crate::fields::ID_LIST)
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub id_list: Option<Vec<String>>,

    /// [`SUBMITTED_AFTER`](crate::fields::SUBMITTED_AFTER)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submitted_after: Option<String>,

    /// [`SUBMITTED_BEFORE`](crate::fields::SUBMITTED_BEFORE)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submitted_before: Option<String>,

    /// [`RESULTS`](crate::fields::RESULTS)
    #[serde(default = "default_max_results")]
    pub max_results: i32,

    /// [`START`](crate::fields::START)
    #[serde(default)]
    pub start: i32,

    /// [`SORT_BY`](crate::fields::SORT_BY)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort_by: Option<SortBy>,

    /// [`SORT_ORDER`](crate::fields::SORT_ORDER)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort_order: Option<SortOrder>,

    /// [`CACHE_POLICY`](crate::fields::CACHE_POLICY)
    #[serde(default)]
    pub cache_policy: CachePolicy,

    /// [`SUSPEND`](crate::fields::SUSPEND)
    #[serde(default)]
    pub suspend: bool,

    /// [`PRIORITY`](crate::fields::PRIORITY)
    #[serde(default)]
    pub priority: i32,

    /// [`BACKOFF_LIMIT`](crate::fields::BACKOFF_LIMIT)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_limit: Option<i32>,

    /// [`ACTIVE_DEADLINE`](crate::fields::ACTIVE_DEADLINE)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_deadline_seconds: Option<i64>,

    /// [`TTL`](crate::fields::TTL)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_seconds_after_finished: Option<i32>,
}

fn default_max_results() -> i32 {
    DEFAULT_MAX_RESULTS
}

impl ArxivQuerySpec {
    /// The number of unusable answers that are retried before the query fails.
    pub fn backoff_limit(&self) -> i32 {
        self.backoff_limit.unwrap_or(DEFAULT_BACKOFF_LIMIT)
    }
}

/// The sort key.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SortBy {
    /// How well a paper matches.
    Relevance,
    /// The date of a paper's last version.
    LastUpdatedDate,
    /// The date of a paper's first version.
    SubmittedDate,
}

impl SortBy {
    /// Its values as they are written.
    pub const WORDS: &'static [&'static str] = &["relevance", "lastUpdatedDate", "submittedDate"];
}

/// The sort direction.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SortOrder {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

impl SortOrder {
    /// Its values as they are written.
    pub const WORDS: &'static [&'static str] = &["ascending", "descending"];
}

/// Whether pages that were fetched before the query was created may be used.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
pub enum CachePolicy {
    /// Every page of arXiv's current day may be used.
    #[default]
    Reuse,
    /// Only pages that were fetched after the query's object was created.
    Refresh,
}

impl CachePolicy {
    /// Its values as they are written.
    pub const WORDS: &'static [&'static str] = &["Reuse", "Refresh"];
}

impl ArxivQuery {
    /// The phase; an object without status is Pending.
    pub fn phase(&self) -> Phase {
        self.status.as_ref().map_or(Phase::Pending, |status| status.phase)
    }

    /// Whether the first error of arXiv, of any class, ends this query (see [`FAIL_FAST_ANNOTATION`]).
    pub fn fails_fast(&self) -> bool {
        self.metadata
            .annotations
            .as_ref()
            .and_then(|all| all.get(FAIL_FAST_ANNOTATION))
            .is_some_and(|v| v == "true")
    }

    /// The condition of this type, if there is one.
    pub fn condition(&self, condition: ConditionType) -> Option<&Condition> {
        let mut conditions = self.status.as_ref()?.conditions.iter();
        conditions.find(|c| c.type_ == condition.as_str())
    }
}
