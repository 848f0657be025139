//! The spec of an `ArxivQuery`: which search to run, and how.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{
    ArxivSearch, Field,
    Kind::{Boolean, Integer, Name, OneOf},
    MAX_PRIORITY, MAX_RESULTS, MAX_SECONDS, MIN_PRIORITY,
    Role::{Class, Fixed, Job},
};
use crate::{ArxivQueryStatus, CachePolicy, FailurePolicy, schema::class_is_fixed};

fields! {
    /// The fields of the spec beside the search.
    JOB_FIELDS;

    /// An arXiv search and how to run it. Its result is a number, one row in the table `queries`, and one row in
    /// `results` for each paper.
    #[derive(CustomResource, KubeSchema, Clone, Debug, Deserialize, PartialEq, Serialize)]
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
        doc = "An arXiv search that runs as a job. It ends as Succeeded, with the unique number `status.queryId`, or as Failed, with a reason.",
        selectable = ".status.phase",
        selectable = ".spec.className",
        printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
        printcolumn(
            name = "Reason",
            type_ = "string",
            json_path = ".status.conditions[?(@.type=='Ready')].reason"
        ),
        printcolumn(name = "Query-ID", type_ = "integer", json_path = ".status.queryId"),
        printcolumn(name = "Results", type_ = "integer", json_path = ".status.totalResults"),
        printcolumn(name = "Stored", type_ = "integer", json_path = ".status.storedResults"),
        printcolumn(name = "Duration", type_ = "string", json_path = ".status.duration"),
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
    #[x_kube(validation = class_is_fixed())]
    #[serde(rename_all = "camelCase")]
    pub struct ArxivQuerySpec {
        plain
        /// What to search for. It cannot be changed.
        search: ArxivSearch;

        /// The most papers to store. More than 2000 are fetched in slices. It cannot be changed.
        RESULTS("maxResults", Some("max_results"), "At most", "3", Fixed,
            Integer(1..=MAX_RESULTS as i64)),
        #[serde(default = "default_max_results")]
        max_results: i32;

        /// The number of papers to skip at the beginning of the result. It cannot be changed.
        START("start", Some("start"), "Start", "", Fixed, Integer(0..=MAX_RESULTS as i64)),
        #[serde(default)]
        start: i32;

        /// Whether pages that were fetched before this query was created may be used: `Reuse` takes every page of arXiv's
        /// current day, as its data changes once a day; `Refresh` only pages that were fetched after the creation. It
        /// cannot be changed.
        CACHE_POLICY("cachePolicy", Some("cache_policy"), "Cache policy", "", Fixed,
            OneOf(CachePolicy::WORDS)),
        #[serde(default)]
        cache_policy: CachePolicy;

        /// What the first error of arXiv does: `Retry` waits and tries again, within `backoffLimit` and the deadlines;
        /// `FailFast` fails the query at once, whatever the error.
        FAILURE_POLICY("failurePolicy", Some("failure_policy"), "Failure policy", "", Job,
            OneOf(FailurePolicy::WORDS)),
        #[serde(default)]
        failure_policy: FailurePolicy;

        /// While this is true, the query does not run and is not changed, whatever it waits for.
        SUSPEND("suspend", None, "Suspended", "", Job, Boolean),
        #[serde(default)]
        suspend: bool;

        /// Queries with a higher priority get their turn at arXiv first.
        PRIORITY("priority", Some("priority"), "Priority", "", Job,
            Integer(MIN_PRIORITY as i64..=MAX_PRIORITY as i64)),
        #[serde(default)]
        priority: i32;

        /// The number of unusable answers of arXiv that are retried before the query fails. Throttling and failures to
        /// reach arXiv are not counted.
        BACKOFF_LIMIT("backoffLimit", Some("backoff_limit"), "Retries", "", Job, Integer(0..=1_000)),
        #[serde(default = "default_backoff_limit")]
        backoff_limit: i32;

        /// The query fails if it waits longer than this many seconds for its first request to arXiv. The wait counts
        /// from the creation of the object, or from the end of its suspension; restarts of the operator do not matter.
        PENDING_DEADLINE("pendingDeadlineSeconds", Some("pending_deadline_seconds"), "Longest wait", "", Job,
            Integer(1..=MAX_SECONDS as i64)),
        #[serde(skip_serializing_if = "Option::is_none")]
        pending_deadline_seconds: Option<i64>;

        /// The query fails this many seconds after its first request to arXiv. The wait for its turn does not
        /// count.
        ACTIVE_DEADLINE("activeDeadlineSeconds", Some("active_deadline_seconds"), "Deadline", "", Job,
            Integer(1..=MAX_SECONDS as i64)),
        #[serde(skip_serializing_if = "Option::is_none")]
        active_deadline_seconds: Option<i64>;

        /// The finished object is deleted after this many seconds; its rows stay. Without it, the object is
        /// kept.
        TTL("ttlSecondsAfterFinished", None, "Time to live", "", Job, Integer(0..=MAX_SECONDS as i64)),
        #[serde(skip_serializing_if = "Option::is_none")]
        ttl_seconds_after_finished: Option<i32>;

        /// The class of the query: it is run by the installation whose operator has this class name. Without it, the
        /// query is of the default class, as are installations without a class name. It cannot be changed.
        CLASS_NAME("className", None, "Class", "", Class, Name),
        #[serde(skip_serializing_if = "Option::is_none")]
        class_name: Option<String>;
    }
}

/// The default of `maxResults`.
fn default_max_results() -> i32 {
    8
}

/// The default of `backoffLimit`: that of a Job of Kubernetes.
fn default_backoff_limit() -> i32 {
    6
}

/// As Kubernetes fills in what is left out; without anything to search for.
impl Default for ArxivQuerySpec {
    fn default() -> Self {
        Self {
            search: ArxivSearch::default(),
            max_results: default_max_results(),
            start: 0,
            cache_policy: CachePolicy::default(),
            failure_policy: FailurePolicy::default(),
            suspend: false,
            priority: 0,
            backoff_limit: default_backoff_limit(),
            pending_deadline_seconds: None,
            active_deadline_seconds: None,
            ttl_seconds_after_finished: None,
            class_name: None,
        }
    }
}
