//! The part of an unfinished query that is kept in memory.

use std::hash::{DefaultHasher, Hash, Hasher};

use arxiv::MAX_PAGE;
use crd::{ArxivQuery, CLIENT_LABEL, Phase};
use jiff::Timestamp;
use queue::Age;
use upstream::ValidatedQuery;
use uuid::Uuid;

use crate::jobs::backlog::SearchSummary;

/// An unfinished query: what its position in the queue and its entry in a list need.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct QueuedQuery {
    pub(crate) uid: Uuid,
    pub(crate) created: Timestamp,
    /// Since when it waits, as its object said when it was first seen.
    made: Age,
    /// When its first slice was fetched, if it needs several: it comes after the queries that were created before that.
    had_slice: Option<Timestamp>,
    pub(crate) phase: Phase,
    pub(crate) priority: i32,
    /// The label of its client.
    pub(crate) client: Option<Box<str>>,
    /// Queries with the same one share their requests.
    pub(crate) request_key: u64,
    /// The number of requests to arXiv that it needs.
    pub(crate) requests: u32,
    /// The search, in short.
    pub(crate) search: SearchSummary,
    pub(crate) message: Option<Box<str>>,
    pub(crate) num_results: Option<i64>,
    pub(crate) num_entries: Option<i64>,
    pub(crate) attempts: Option<i32>,
    pub(crate) started: Option<Timestamp>,
    /// Until when no request is sent to arXiv, as this query's status says.
    pub(crate) retry_after: Option<Timestamp>,
}

impl QueuedQuery {
    pub(crate) fn of(object: &ArxivQuery) -> Self {
        let metadata = &object.metadata;
        let status = object.status.as_ref();
        let created = metadata
            .creation_timestamp
            .as_ref()
            .map_or(Timestamp::UNIX_EPOCH, |time| time.0);
        let started = status.and_then(|status| Some(status.start_time.as_ref()?.0));
        let requests = requests(object);
        let is_between_slices = object.phase() == Phase::Running && requests > 1;
        let label = metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(CLIENT_LABEL));
        Self {
            uid: metadata
                .uid
                .as_deref()
                .and_then(|uid| Uuid::try_parse(uid).ok())
                .unwrap_or_default(),
            created,
            made: Age::created(created, metadata.resource_version.as_deref()),
            had_slice: started.filter(|_| is_between_slices),
            phase: object.phase(),
            priority: object.spec.priority,
            client: label.map(|client| client.as_str().into()),
            request_key: request_key(object),
            requests,
            search: SearchSummary::of(&object.spec),
            message: status
                .and_then(|status| status.message.as_deref())
                .map(Into::into),
            num_results: status.and_then(|status| status.num_results),
            num_entries: status.and_then(|status| status.num_entries),
            attempts: status.and_then(|status| status.attempts),
            started,
            retry_after: status.and_then(|status| Some(status.retry_after.as_ref()?.0)),
        }
    }

    /// Keeps the age from the first time the same object was seen: later versions do not have it.
    pub(super) fn keep_age_of(&mut self, known: &Self) {
        if known.uid == self.uid {
            self.made = known.made;
        }
    }

    /// Since when it waits for its next request.
    pub(super) fn age(&self) -> Age {
        self.had_slice.map_or(self.made, Age::answered)
    }

    /// Whether it is in the queue.
    pub(crate) fn is_runnable(&self) -> bool {
        matches!(self.phase, Phase::Pending | Phase::Running)
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
    let found = object.status.as_ref().and_then(|status| status.num_results);
    let found = found.map_or(u32::MAX, |found| u32::try_from(found).unwrap_or(u32::MAX));
    wanted.min(found).div_ceil(MAX_PAGE).max(1)
}
