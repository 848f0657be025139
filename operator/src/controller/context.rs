//! What a reconciliation works with.

use std::sync::Arc;

use crd::{ArxivQuery, Reason};
use jiff::Timestamp;
use kube::{Api, Client};
use storage::{FailureRecord, Ledger, Pages, Records};
use tokio::sync::Semaphore;
use upstream::ValidatedQuery;
use uuid::Uuid;

use super::{error::Error, report::events::Events};
use crate::{
    fetch::{progress::Progress, tracker::Tracker},
    process::metrics::Metrics,
};

/// Papers that all recordings together may have in memory: two full pages of about 1 MB (at most 32 MB), or
/// the pages of hundreds of usual queries.
pub(crate) const MAX_BUFFERED_PAPERS: usize = 2 * arxiv::MAX_PAGE as usize;

/// Handles to Kubernetes and the databases, and what this process shares between reconciliations.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) records: Records,
    pub(crate) ledger: Ledger,
    pub(crate) pages: Pages,
    pub(crate) tracker: Arc<Tracker>,
    pub(crate) events: Events,
    pub(crate) metrics: Metrics,
    /// One permit for each of the [`MAX_BUFFERED_PAPERS`].
    pub(crate) buffered_papers: Semaphore,
}

impl Context {
    /// The API for objects of one namespace.
    pub(crate) fn queries(&self, namespace: &str) -> Api<ArxivQuery> {
        Api::namespaced(self.client.clone(), namespace)
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
    pub(crate) sent: Option<String>,
    pub(crate) progress: Progress,
}

impl Query {
    /// Begins a reconciliation.
    pub(crate) fn begin(object: Arc<ArxivQuery>, tracker: &Tracker, now: Timestamp) -> Result<Self, Error> {
        let uid = uid(&object).ok_or(Error::NoUid)?;
        let search = validated(&object);
        Ok(Self {
            uid,
            sent: search.as_ref().ok().map(|search| search.search.display_query()),
            search,
            progress: tracker.begin(uid, &object, now),
            object,
        })
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

/// Step 3 of a query's life: the spec as a search that can be sent to arXiv, so that no later step can fail
/// on input. The schema refuses most invalid specs before; the others end here.
fn validated(object: &ArxivQuery) -> Result<ValidatedQuery, FailureRecord> {
    ValidatedQuery::try_from(&object.spec).map_err(|error| FailureRecord {
        reason: Reason::InvalidSearch.as_str().to_owned(),
        message: error.to_string(),
        http_status: Some(400),
    })
}

/// The uid of an object; Kubernetes gives one to every object.
pub(crate) fn uid(object: &ArxivQuery) -> Option<Uuid> {
    object
        .metadata
        .uid
        .as_deref()
        .and_then(|uid| Uuid::parse_str(uid).ok())
}
