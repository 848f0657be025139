//! What a reconciliation works with.

use std::sync::Arc;

use crd::{ArxivQuery, ArxivQuerySpec, GROUP, QueryWithoutManagedFields, Reason, SortBy, SortOrder};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Api;
use sha2::{Digest, Sha256};
use storage::FailureRecord;
use tokio::sync::Semaphore;
use upstream::ValidatedQuery;
use uuid::Uuid;

use super::{error::Error, report::events::Events, watch::Unfinished};
use crate::{
    fetch::{progress::Progress, tracker::Tracker},
    process::dependencies::Dependencies,
};

/// Papers that all recordings together may have in memory: two full pages, each of about 5 MB (at most 32 MB) in the
/// store and three times that while it is recorded, or the pages of hundreds of usual queries.
const MAX_BUFFERED_PAPERS: usize = 2 * arxiv::MAX_PAGE as usize;

/// What this process shares between reconciliations.
pub(crate) struct Context {
    pub(crate) with: Arc<Dependencies>,
    pub(crate) tracker: Arc<Tracker>,
    pub(crate) events: Events,
    /// What the watch has seen.
    pub(crate) unfinished: Unfinished,
    /// One permit for each of the [`MAX_BUFFERED_PAPERS`].
    pub(crate) buffered_papers: Semaphore,
}

impl Context {
    pub(crate) fn new(
        with: Arc<Dependencies>,
        tracker: Arc<Tracker>,
        events: Events,
        unfinished: Unfinished,
    ) -> Self {
        Self {
            with,
            tracker,
            events,
            unfinished,
            buffered_papers: Semaphore::new(MAX_BUFFERED_PAPERS),
        }
    }

    /// The API for objects of one namespace.
    pub(crate) fn queries(&self, namespace: &str) -> Api<QueryWithoutManagedFields> {
        Api::namespaced(self.with.client.clone(), namespace)
    }
}

/// One query as a reconciliation sees it: the object that was read, its search, and its progress in this
/// process when the reconciliation began.
pub(crate) struct Query {
    pub(crate) object: Arc<ArxivQuery>,
    pub(crate) uid: Uuid,
    /// The search of the spec, or why it is invalid.
    pub(crate) search: Result<ValidatedQuery, FailureRecord>,
    /// The search as it is sent to arXiv, if it is valid.
    sent: Option<String>,
    /// What storage keeps of the search.
    search_hash: String,
    pub(crate) progress: Progress,
    /// How many notifications of the query the progress contains.
    pub(crate) notifications: usize,
}

/// A query at one point in time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot<'a> {
    pub(crate) object: &'a ArxivQuery,
    pub(crate) progress: &'a Progress,
    /// The search as it is sent to arXiv, if it is valid.
    pub(crate) sent: Option<&'a str>,
    /// The end of the cool-down, in the future: no request is sent to arXiv before it.
    pub(crate) cooling_until: Option<Timestamp>,
    pub(crate) now: Timestamp,
}

impl Query {
    /// Begins a reconciliation. Step 3 of a query's life: the spec becomes a search that can be sent to arXiv,
    /// so that no later step can fail on input. The schema refuses most invalid specs before.
    pub(crate) fn begin(object: Arc<ArxivQuery>, tracker: &Tracker, now: Timestamp) -> Result<Self, Error> {
        let uid = uid(&object).ok_or(Error::Defect("the object has no uid"))?;
        let search = ValidatedQuery::try_from(&object.spec).map_err(|error| FailureRecord {
            reason: Reason::InvalidSearch.as_str().to_owned(),
            message: error.to_string(),
            http_status: Some(400),
        });
        let (progress, notifications) = tracker.begin(uid, &object, now);
        Ok(Self {
            uid,
            sent: search.as_ref().ok().map(|search| search.search.display_query()),
            search,
            search_hash: search_hash(&object.spec),
            progress,
            notifications,
            object,
        })
    }

    /// The query now, with its progress as it was at the begin of the reconciliation.
    pub(crate) fn snapshot(&self, tracker: &Tracker) -> Snapshot<'_> {
        let now = Timestamp::now();
        Snapshot {
            object: &self.object,
            progress: &self.progress,
            sent: self.sent.as_deref(),
            cooling_until: tracker.cooling_until(now),
            now,
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.object.metadata.name.as_deref().unwrap_or_default()
    }

    pub(crate) fn namespace(&self) -> &str {
        self.object.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// The uid of the feed that the query is a run of, if it is one: its search is in the order that feeds need.
    pub(crate) fn feed(&self) -> Option<Uuid> {
        let search = &self.object.spec.search;
        let is_run = (search.sort_by, search.sort_order) == (SortBy::LastUpdatedDate, SortOrder::Descending);
        let owner = self.object.metadata.owner_references.iter().flatten();
        let owner = owner.filter(|_| is_run).find(|owner| is_feed(owner))?;
        Uuid::parse_str(&owner.uid).ok()
    }

    /// The object, as storage names the owner of rows.
    pub(crate) fn owner(&self) -> storage::ObjectRef<'_> {
        storage::ObjectRef {
            uid: self.uid,
            namespace: self.namespace(),
            name: self.name(),
            search: &self.search_hash,
        }
    }
}

/// The kind of the objects whose runs are queries.
const FEED_KIND: &str = "ArxivFeed";

/// Whether an owner is the feed that the object is a run of.
pub(super) fn is_feed(owner: &OwnerReference) -> bool {
    let group = owner.api_version.split_once('/').map(|(group, _)| group);
    owner.controller == Some(true) && owner.kind == FEED_KIND && group == Some(GROUP)
}

/// A hash of the fields that say what to search for, and of no others. It must stay the same in all versions: records are found by it
/// after a restore.
fn search_hash(spec: &ArxivQuerySpec) -> String {
    // Serialising a search cannot fail.
    let search = serde_json::to_string(&spec.search).unwrap_or_default();
    let text = format!(
        "{search} {} {} {}",
        spec.max_results, spec.start, spec.cache_policy
    );
    let hash = Sha256::digest(text.as_bytes());
    hash[..16]
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// The uid of an object; Kubernetes gives one to every object.
pub(crate) fn uid(object: &ArxivQuery) -> Option<Uuid> {
    let uid = object.metadata.uid.as_deref()?;
    Uuid::parse_str(uid).ok()
}

#[cfg(test)]
mod tests {
    use crd::{ArxivSearch, CachePolicy, FailurePolicy, SortBy};

    use super::*;

    #[test]
    fn search_hash_is_that_of_earlier_versions_and_ignores_how_the_search_is_run() {
        let search = ArxivSearch {
            author: Some("knuth".to_owned()),
            ..ArxivSearch::default()
        };
        let spec = ArxivQuerySpec {
            search: search.clone(),
            ..ArxivQuerySpec::default()
        };
        let hash = search_hash(&spec);
        assert_eq!(
            hash, "a1a691ec91e547d10481d8c59f373d66",
            "records of earlier versions are not found any more"
        );
        let run_differently = ArxivQuerySpec {
            suspend: true,
            priority: 5,
            backoff_limit: 1,
            failure_policy: FailurePolicy::FailFast,
            pending_deadline_seconds: Some(1),
            active_deadline_seconds: Some(1),
            ttl_seconds_after_finished: Some(1),
            class_name: Some("a".to_owned()),
            ..spec.clone()
        };
        assert_eq!(search_hash(&run_differently), hash);
        let others = [
            ArxivQuerySpec {
                start: 1,
                ..spec.clone()
            },
            ArxivQuerySpec {
                max_results: 9,
                ..spec.clone()
            },
            ArxivQuerySpec {
                cache_policy: CachePolicy::Refresh,
                ..spec.clone()
            },
            ArxivQuerySpec {
                search: ArxivSearch {
                    sort_by: SortBy::SubmittedDate,
                    ..search
                },
                ..spec
            },
        ];
        for other in &others {
            assert_ne!(search_hash(other), hash, "{other:?}");
        }
    }
}
