//! What this process knows about an unfinished query in addition to its object. It is lost at a restart,
//! which does no harm: what must be kept is in the status (start, attempts) or in the databases (pages,
//! number, rows).

use std::{sync::Arc, time::Duration};

use arxiv::FailureClass;
use crd::{ArxivQuery, CachePolicy, Phase};
use jiff::{Timestamp, civil::Date};
use queue::Age;
use service::backoff::Backoff;
use storage::{FailureRecord, PageVersion};
use upstream::PageSelector;

use super::page_queue::QueuedPage;
use crate::process::correlation::Origin;

/// A failed request to arXiv, as its queries know it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct RequestFailure {
    pub(crate) class: FailureClass,
    /// The record of a query that fails with it. The message is safe for users.
    pub(crate) record: FailureRecord,
}

/// How far one query is in this process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// The request that its object comes from.
    pub(crate) origin: Origin,
    /// The arXiv day of its pages: fixed at its first request, so that all slices are of one day.
    pub(crate) day: Date,
    /// When this process first saw it.
    pub(crate) seen: Timestamp,
    /// When its object was created, or before the first page that was fetched for it, if the clocks differ.
    created: Timestamp,
    /// Whether it refuses pages that were fetched before it was created.
    refresh: bool,
    /// Since when it waits for its first request: its creation, or its resumption.
    pub(crate) pending_since: Timestamp,
    /// Whether its page is being requested. As it was when the reconciliation began.
    pub(crate) is_requested: bool,
    /// When its first request began; its deadline counts from here.
    pub(crate) started: Option<Timestamp>,
    /// Failed requests that count against `backoffLimit`.
    pub(crate) attempts: u32,
    /// Failures since the last answer, of any class.
    failures_in_a_row: u32,
    /// The failure of the last request, unless it was answered.
    pub(crate) failure: Option<RequestFailure>,
    /// Its page is not requested again before this time.
    pub(crate) not_before: Option<Timestamp>,
    /// Since when it waits, as far as its object says.
    pub(crate) age: Age,
    /// When its latest slice was answered. Its age in the queue counts from here, so that others are served
    /// in between.
    pub(crate) latest_answer: Option<Timestamp>,
    /// The latest slice that it was queued for after its first one.
    pub(crate) next_slice: Option<Arc<QueuedPage>>,
    /// Since when it is queued for the page that it needs next.
    pub(crate) queued_since: Option<Timestamp>,
    /// Whether its request takes so long that its status should say so.
    pub(crate) is_slow: bool,
    /// How many slices were stored when the status was written, and when that was (or could have been, in an
    /// earlier process).
    pub(crate) slices_reported: usize,
    pub(crate) reported_at: Timestamp,
    /// Failed reconciliations in a row (a database or Kubernetes is unavailable).
    pub(crate) errors_in_a_row: u32,
}

impl Progress {
    /// From the object itself, when this process first sees it.
    pub(crate) fn of(object: &ArxivQuery, now: Timestamp) -> Self {
        let status = object.status.as_ref();
        let started = status.and_then(|s| s.start_time.as_ref()).map(|time| time.0);
        let attempts = status.and_then(|s| s.attempts).unwrap_or(0);
        let attempts = u32::try_from(attempts).unwrap_or(0);
        let created = object.metadata.creation_timestamp.as_ref().map(|at| at.0);
        let version = object.metadata.resource_version.as_deref();
        let age = Age::created(created.unwrap_or(now), version);
        let pending_since = match status {
            // It was resumed, and this is the first time that it is seen since.
            Some(status) if status.phase == Phase::Suspended => Some(now),
            Some(status) => status.resume_time.as_ref().map(|at| at.0).or(created),
            None => created,
        };
        // Kubernetes rounds it down to the second.
        let created = created.and_then(|at| at.checked_add(Duration::from_secs(1)).ok());
        Self {
            origin: Origin::of(object),
            seen: now,
            pending_since: pending_since.unwrap_or(now),
            created: created.unwrap_or(now),
            refresh: object.spec.cache_policy == CachePolicy::Refresh,
            day: arxiv::arxiv_day(started.unwrap_or(now)),
            started,
            attempts,
            failures_in_a_row: attempts,
            age,
            reported_at: now,
            ..Self::default()
        }
    }

    /// The day and the version of its pages. The version stays the same after later fetches for others, so
    /// that the query finds again what it found before.
    pub(crate) fn selector(&self) -> PageSelector {
        let version = if self.refresh {
            PageVersion::After
        } else {
            PageVersion::AsOf
        };
        PageSelector {
            day: self.day,
            version: version(self.created),
        }
    }

    /// A request that began at `began` was answered by `now`, with a page that was stored at `fetched_at` by
    /// the database's clock if it was fetched for the queries that wait.
    pub(crate) fn answered(&mut self, began: Timestamp, now: Timestamp, fetched_at: Option<Timestamp>) {
        // A page that was fetched for it is accepted, even if the database's clock is behind that of
        // Kubernetes.
        let before = fetched_at.and_then(|at| at.checked_sub(Duration::from_micros(1)).ok());
        self.created = before.map_or(self.created, |before| self.created.min(before));
        self.latest_answer = Some(now);
        self.started.get_or_insert(began);
        self.failures_in_a_row = 0;
        (self.failure, self.not_before) = (None, None);
        self.is_slow = false;
    }

    /// The request that was sent at `began` takes long.
    pub(crate) fn mark_slow(&mut self, began: Timestamp) {
        self.started.get_or_insert(began);
        self.is_slow = true;
    }

    /// A request that began at `began` failed at `now`.
    pub(crate) fn failed(
        &mut self,
        failure: RequestFailure,
        began: Timestamp,
        now: Timestamp,
        backoff: &Backoff,
    ) {
        self.started.get_or_insert(began);
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        if failure.class == FailureClass::Broken {
            self.attempts = self.attempts.saturating_add(1);
        }
        let delay = match failure.class {
            // The shared cool-down delays these. An additional wait of its own would only lose the position
            // in the queue.
            FailureClass::Throttled => Duration::ZERO,
            _ => backoff.delay(self.failures_in_a_row),
        };
        self.not_before = now.checked_add(delay).ok();
        self.failure = Some(failure);
        self.is_slow = false;
    }
}

#[cfg(test)]
mod tests {
    use crd::{ArxivQuerySpec, ArxivQueryStatus};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    const BACKOFF: Backoff = Backoff {
        base: Duration::from_secs(10),
        cap: Duration::from_mins(1),
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn failure(class: FailureClass) -> RequestFailure {
        RequestFailure {
            class,
            record: FailureRecord {
                reason: "Reason".into(),
                message: "words".into(),
                http_status: Some(500),
            },
        }
    }

    #[test]
    fn failed_counts_broken_answers_and_delays_all_but_throttling() {
        for (class, attempts, waits) in [
            (FailureClass::Invalid, 0, [10, 20]),
            (FailureClass::Broken, 2, [10, 20]),
            (FailureClass::Unreachable, 0, [10, 20]),
            (FailureClass::Throttled, 0, [0, 0]),
        ] {
            let mut progress = Progress::of(&ArxivQuery::new("q", ArxivQuerySpec::default()), at(0));
            for wait in waits {
                progress.failed(failure(class), at(100), at(103), &BACKOFF);
                assert_eq!(progress.not_before, Some(at(103 + wait)), "{class:?}");
            }
            assert_eq!(progress.attempts, attempts, "{class:?}");
            assert_eq!(progress.started, Some(at(100)), "{class:?}");
        }
    }

    #[test]
    fn answered_resets_the_backoff_but_not_the_attempts() {
        let mut progress = Progress::of(&ArxivQuery::new("q", ArxivQuerySpec::default()), at(0));
        progress.failed(failure(FailureClass::Broken), at(1), at(2), &BACKOFF);
        progress.answered(at(20), at(21), None);
        assert_eq!(
            (progress.attempts, progress.failure.clone(), progress.not_before),
            (1, None, None)
        );
        progress.failed(failure(FailureClass::Broken), at(30), at(31), &BACKOFF);
        assert_eq!((progress.attempts, progress.not_before), (2, Some(at(41))));
        assert_eq!(progress.started, Some(at(1)));
    }

    #[test]
    fn refresh_accepts_pages_newer_than_the_object_or_fetched_for_it() {
        let mut object = ArxivQuery::new("q", ArxivQuerySpec::default());
        object.metadata.creation_timestamp = Some(Time(at(100)));
        let reuse = Progress::of(&object, at(200));
        assert_eq!(reuse.selector().version, PageVersion::AsOf(at(101)));
        object.spec.cache_policy = CachePolicy::Refresh;
        let mut refresh = Progress::of(&object, at(200));
        assert_eq!(refresh.selector().version, PageVersion::After(at(101)));
        refresh.answered(at(200), at(203), Some(at(203)));
        assert_eq!(refresh.selector().version, PageVersion::After(at(101)));
        // By the database's clock it is still before the object's time.
        refresh.answered(at(210), at(213), Some(at(50)));
        let before = at(50).checked_sub(Duration::from_micros(1)).unwrap();
        assert_eq!(refresh.selector().version, PageVersion::After(before));
    }

    #[test]
    fn wait_for_the_first_request_begins_at_the_creation_or_the_resumption() {
        let mut object = ArxivQuery::new("q", ArxivQuerySpec::default());
        let since = |object: &ArxivQuery| Progress::of(object, at(200)).pending_since;
        assert_eq!(since(&object), at(200));
        object.metadata.creation_timestamp = Some(Time(at(100)));
        assert_eq!(since(&object), at(100), "also after a restart");
        let mut status = ArxivQueryStatus {
            phase: Phase::Suspended,
            ..Default::default()
        };
        object.status = Some(status.clone());
        assert_eq!(since(&object), at(200));
        (status.phase, status.resume_time) = (Phase::Pending, Some(Time(at(150))));
        object.status = Some(status);
        assert_eq!(since(&object), at(150), "also after a restart");
    }

    #[test]
    fn progress_of_a_restarted_process_comes_from_the_status() {
        // 2024-05-06 23:30 in New York is the 7th in UTC.
        let started = "2024-05-07T03:30:00Z".parse().unwrap();
        let mut object = ArxivQuery::new("q", ArxivQuerySpec::default());
        object.status = Some(ArxivQueryStatus {
            attempts: Some(3),
            start_time: Some(Time(started)),
            ..Default::default()
        });
        let progress = Progress::of(&object, "2024-05-09T12:00:00Z".parse().unwrap());
        assert_eq!((progress.attempts, progress.started), (3, Some(started)));
        assert_eq!(progress.day, jiff::civil::date(2024, 5, 6));
    }
}
