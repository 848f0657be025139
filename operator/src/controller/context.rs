//! What a reconciliation works with.

use std::sync::Arc;

use crd::{ArxivQuery, Reason};
use jiff::Timestamp;
use kube::Api;
use storage::FailureRecord;
use tokio::sync::Semaphore;
use upstream::ValidatedQuery;
use uuid::Uuid;

use super::{error::Error, report::events::Events};
use crate::{
    fetch::{progress::Progress, tracker::Tracker},
    process::dependencies::Dependencies,
};

/// Papers that all recordings together may have in memory: two full pages of about 1 MB (at most 32 MB), or
/// the pages of hundreds of usual queries.
const MAX_BUFFERED_PAPERS: usize = 2 * arxiv::MAX_PAGE as usize;

/// What this process shares between reconciliations.
pub(crate) struct Context {
    pub(crate) with: Arc<Dependencies>,
    pub(crate) tracker: Arc<Tracker>,
    pub(crate) events: Events,
    /// One permit for each of the [`MAX_BUFFERED_PAPERS`].
    pub(crate) buffered_papers: Semaphore,
}

impl Context {
    pub(crate) fn new(with: Arc<Dependencies>, tracker: Arc<Tracker>, events: Events) -> Self {
        Self {
            with,
            tracker,
            events,
            buffered_papers: Semaphore::new(MAX_BUFFERED_PAPERS),
        }
    }

    /// The API for objects of one namespace.
    pub(crate) fn queries(&self, namespace: &str) -> Api<ArxivQuery> {
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

    /// The object, as storage names the owner of rows.
    pub(crate) fn owner(&self) -> storage::ObjectRef<'_> {
        storage::ObjectRef {
            uid: self.uid,
            namespace: self.namespace(),
            name: self.name(),
        }
    }
}

/// The uid of an object; Kubernetes gives one to every object.
pub(crate) fn uid(object: &ArxivQuery) -> Option<Uuid> {
    let uid = object.metadata.uid.as_deref()?;
    Uuid::parse_str(uid).ok()
}
