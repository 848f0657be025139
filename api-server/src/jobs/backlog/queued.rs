//! The part of an unfinished query that is kept in memory.

use std::hash::{DefaultHasher, Hash, Hasher};

use arxiv::MAX_PAGE;
use crd::{ArxivQuery, CLIENT_LABEL, Phase};
use jiff::Timestamp;
use kube::ResourceExt;
use queue::Age;
use upstream::ValidatedQuery;

use crate::jobs::{backlog::QueuePosition, view::QueryView};

/// An unfinished query: what its position in the queue and its entry in a list need.
#[derive(Clone, Debug)]
pub(crate) struct QueuedQuery {
    /// Its entry in a list, without its position.
    pub(crate) view: QueryView,
    /// Since when it waits, as its object said when it was first seen.
    made: Age,
    /// When its first slice was fetched, if it needs several: it comes after the queries that were created before that.
    had_slice: Option<Timestamp>,
    pub(super) priority: i32,
    /// The label of its client.
    pub(super) client: Option<String>,
    /// Queries with the same one share their requests.
    pub(super) request_key: u64,
    /// The number of requests to arXiv that it needs.
    pub(super) requests: u32,
    /// Until when no request is sent to arXiv, as this query's status says.
    pub(super) retry_after: Option<Timestamp>,
}

impl QueuedQuery {
    pub(super) fn of(object: &ArxivQuery) -> Self {
        let view = QueryView {
            // A list has neither the number of an object that was restored nor the text that is sent to arXiv.
            query_id: None,
            timestamp: None,
            status: None,
            query: None,
            ..QueryView::from_object(object, None)
        };
        let created = view.created.unwrap_or_default();
        let requests = requests(object);
        let is_between_slices = view.phase == Phase::Running && requests > 1;
        let retry_after = object
            .status
            .as_ref()
            .and_then(|status| status.retry_after.as_ref());
        Self {
            made: Age::created(created, object.metadata.resource_version.as_deref()),
            had_slice: view.started.filter(|_| is_between_slices),
            priority: object.spec.priority,
            client: object.labels().get(CLIENT_LABEL).cloned(),
            request_key: request_key(object),
            requests,
            retry_after: retry_after.map(|time| time.0),
            view,
        }
    }

    /// Keeps the age from the first time the same object was seen: later versions do not have it.
    pub(super) fn keep_age_of(&mut self, known: &Self) {
        if known.view.uid == self.view.uid {
            self.made = known.made;
        }
    }

    /// Since when it waits for its next request.
    pub(super) fn age(&self) -> Age {
        self.had_slice.map_or(self.made, Age::answered)
    }

    /// Whether it is in the queue.
    pub(super) fn is_runnable(&self) -> bool {
        matches!(self.view.phase, Phase::Pending | Phase::Running)
    }

    /// Its entry in a list, with its position.
    pub(crate) fn view_at(&self, queue: Option<QueuePosition>) -> QueryView {
        QueryView {
            queue,
            ..self.view.clone()
        }
    }
}

/// Queries for the same papers share their requests to arXiv.
fn request_key(object: &ArxivQuery) -> u64 {
    let mut hasher = DefaultHasher::new();
    match ValidatedQuery::try_from(&object.spec) {
        Ok(query) => {
            query.search.key().hash(&mut hasher);
            (query.start, query.max_results, object.spec.cache_policy).hash(&mut hasher);
        }
        // The operator fails it without a request.
        Err(_) => object.metadata.uid.hash(&mut hasher),
    }
    hasher.finish()
}

/// Slices of what is wanted, as far as arXiv has so much.
fn requests(object: &ArxivQuery) -> u32 {
    let wanted = u32::try_from(object.spec.max_results).unwrap_or(1);
    let found = object.status.as_ref().and_then(|status| status.total_results);
    let found = found.map_or(u32::MAX, |found| u32::try_from(found).unwrap_or(u32::MAX));
    wanted.min(found).div_ceil(MAX_PAGE).max(1)
}
