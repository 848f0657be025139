//! What the steps of a reconciliation work with.

use std::sync::Arc;

use crd::ArxivQuery;
use jiff::Timestamp;
use kube::{Api, Client};
use storage::{Ledger, Pages, Records};
use tokio::sync::Semaphore;
use upstream::Upstream;
use uuid::Uuid;

use crate::{
    controller::{error::Error, events::Events},
    fetch::{progress::Progress, tracker::Tracker},
    process::metrics::Metrics,
};

/// Papers that recordings may have in memory at once: two full pages of 1 MB or so (not more than 32 MB), or the pages of
/// hundreds of usual queries.
pub(crate) const ROOM: usize = 2 * arxiv::MAX_PAGE as usize;

/// Handles to everything outside of this process, and the tracker of what is inside.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) records: Records,
    pub(crate) ledger: Ledger,
    pub(crate) pages: Pages,
    pub(crate) upstream: Upstream,
    pub(crate) tracker: Arc<Tracker>,
    pub(crate) events: Events,
    pub(crate) metrics: Metrics,
    /// Room for [`ROOM`] papers.
    pub(crate) room: Semaphore,
}

impl Context {
    /// The API for objects of one namespace.
    pub(crate) fn queries(&self, namespace: &str) -> Api<ArxivQuery> {
        Api::namespaced(self.client.clone(), namespace)
    }
}

/// One query as a reconciliation sees it: the object that was read, and what this process knew when it began.
pub(crate) struct Query {
    pub(crate) object: Arc<ArxivQuery>,
    pub(crate) uid: Uuid,
    pub(crate) known: Progress,
}

impl Query {
    /// Begins a reconciliation.
    pub(crate) fn begin(object: Arc<ArxivQuery>, tracker: &Tracker, now: Timestamp) -> Result<Self, Error> {
        let uid = uid(&object).ok_or(Error::NoUid)?;
        let known = tracker.begin(uid, &object, now);
        Ok(Self { object, uid, known })
    }

    pub(crate) fn name(&self) -> &str {
        self.object.metadata.name.as_deref().unwrap_or_default()
    }

    pub(crate) fn namespace(&self) -> &str {
        self.object.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// The object as its end is recorded of it.
    pub(crate) fn recorded_of(&self) -> storage::ObjectRef<'_> {
        storage::ObjectRef {
            uid: self.uid,
            namespace: self.namespace(),
            name: self.name(),
        }
    }
}

/// The uid of an object; Kubernetes gives every object one.
pub(crate) fn uid(object: &ArxivQuery) -> Option<Uuid> {
    object
        .metadata
        .uid
        .as_deref()
        .and_then(|uid| Uuid::parse_str(uid).ok())
}
