//! The desired state: which search to run and how.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ArxivQueryStatus, ConditionType, FAIL_FAST_ANNOTATION, Phase, rules};

/// `maxResults` when the spec does not say.
const DEFAULT_MAX_RESULTS: i32 = 8;
/// `backoffLimit` when the spec does not say: that of a Kubernetes Job.
const DEFAULT_BACKOFF_LIMIT: i32 = 6;

/// One arXiv search to run: its result is a number, one row in `queries` and a row in `results` for each paper.
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
    doc = "An arXiv search that runs as a job. It ends Succeeded, with a number, or Failed, with a reason.",
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
    /// Words of an author's name. Words are ANDed; "double quotes" make a phrase; AND, OR, ANDNOT and parentheses
    /// work within the field.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::has_a_word(), validation = rules::has_no_controls())]
    pub author: Option<String>,

    /// Words of the title, as in `author`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::has_a_word(), validation = rules::has_no_controls())]
    pub title: Option<String>,

    /// Words of the journal reference, as in `author`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::has_a_word(), validation = rules::has_no_controls())]
    pub journal: Option<String>,

    /// Words of the abstract, as in `author`.
    #[serde(rename = "abstract", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::has_a_word(), validation = rules::has_no_controls())]
    pub abstract_text: Option<String>,

    /// Categories, for example `cs.LG OR stat.ML`, as in `author`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::has_a_word(), validation = rules::has_no_controls())]
    pub category: Option<String>,

    /// Words of the authors' comment, as in `author`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::has_a_word(), validation = rules::has_no_controls())]
    pub comment: Option<String>,

    /// Words of the report number, as in `author`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::has_a_word(), validation = rules::has_no_controls())]
    pub report_number: Option<String>,

    /// Words of any field, as in `author`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::has_a_word(), validation = rules::has_no_controls())]
    pub all: Option<String>,

    /// arXiv identifiers, in every usual form: `2401.01234`, `2401.01234v2`, `hep-th/9901001`, `arXiv:2401.01234`, the
    /// address of an abstract or PDF. With other search fields, only papers of this list that fit them are found.
    /// `maxResults` counts for these as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500), inner(length(max = 128)))]
    #[x_kube(validation = rules::are_identifiers(), merge_strategy = ListMerge::Atomic)]
    pub id_list: Option<Vec<String>>,

    /// Only papers whose first version came at this time (RFC 3339) or later, to the minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), extend("format" = "date-time"))]
    #[x_kube(validation = rules::is_date_of_papers())]
    pub submitted_after: Option<String>,

    /// Only papers whose first version came at this time (RFC 3339) or before, to the minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), extend("format" = "date-time"))]
    #[x_kube(validation = rules::is_date_of_papers())]
    pub submitted_before: Option<String>,

    /// How many papers to store at the most. More than 2000 are fetched in slices.
    #[serde(default = "default_max_results")]
    #[schemars(range(min = 1, max = 30_000))]
    pub max_results: i32,

    /// How many papers of the result to skip.
    #[serde(default)]
    #[schemars(range(min = 0, max = 30_000))]
    pub start: i32,

    /// What arXiv sorts by; its own default (relevance) when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort_by: Option<SortBy>,

    /// The direction of the sorting; arXiv's own default (descending) when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort_order: Option<SortOrder>,

    /// Whether an answer that was fetched before this query came will do. arXiv's answers change once a day.
    #[serde(default)]
    pub cache_policy: CachePolicy,

    /// Leaves the query alone, whatever it waits for, until this is false again.
    #[serde(default)]
    pub suspend: bool,

    /// Queries with a higher priority have their turn at arXiv first.
    #[serde(default)]
    #[schemars(range(min = -1_000, max = 1_000))]
    pub priority: i32,

    /// How many broken answers of arXiv are retried before the query fails (6 when not given). Being throttled
    /// and not reaching arXiv are not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000))]
    pub backoff_limit: Option<i32>,

    /// Seconds, from the first request to arXiv, after which the query fails. Waiting for a turn does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 31_536_000))]
    pub active_deadline_seconds: Option<i64>,

    /// Seconds after its end at which the object is deleted; its rows stay. It is kept when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 31_536_000))]
    pub ttl_seconds_after_finished: Option<i32>,
}

fn default_max_results() -> i32 {
    DEFAULT_MAX_RESULTS
}

impl ArxivQuerySpec {
    /// Broken answers that are retried before the query fails.
    pub fn backoff_limit(&self) -> i32 {
        self.backoff_limit.unwrap_or(DEFAULT_BACKOFF_LIMIT)
    }
}

/// What arXiv sorts by.
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

/// The direction of the sorting.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SortOrder {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

/// Whether an answer that is there already will do.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
pub enum CachePolicy {
    /// Any answer of arXiv's day will do, also one that was fetched before.
    #[default]
    Reuse,
    /// Only an answer that was fetched after the query's object was made will do.
    Refresh,
}

impl ArxivQuery {
    /// The phase; an object without status is Pending.
    pub fn phase(&self) -> Phase {
        self.status.as_ref().map_or(Phase::Pending, |status| status.phase)
    }

    /// Whether the first upstream error, of whatever class, ends this query (see [`FAIL_FAST_ANNOTATION`]).
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
