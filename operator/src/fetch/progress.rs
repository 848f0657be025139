//! What this process knows of an unfinished query beyond its object. It is lost at a restart, and nothing wrong comes
//! of that: what must last is in the status (start, attempts) or in the databases (pages, number, rows).

use std::time::Duration;

use ::queue::Since;
use arxiv::FailureClass;
use crd::{ArxivQuery, CachePolicy, Reason};
use jiff::{Timestamp, civil::Date};
use storage::PageVersion;
use upstream::PageSelector;

use crate::{fetch::tracker::Page, process::backoff::Backoff};

/// What a request to arXiv failed with, in words that are safe for users.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Failure {
    pub(crate) class: FailureClass,
    /// For conditions and Events.
    pub(crate) reason: Reason,
    /// The HTTP status that a caller of the REST API gets for it.
    pub(crate) http_status: u16,
    pub(crate) message: String,
}

/// How far one query has come in this process.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    /// The arXiv day that its pages are asked for: fixed at its first request, so that all slices are of one day.
    pub(crate) day: Date,
    /// When its object was made, or before the first page that was fetched for it, if the clocks say otherwise.
    made: Timestamp,
    /// Whether what was fetched before will not do.
    fresh: bool,
    /// When its first request began; its deadline counts from here.
    pub(crate) started: Option<Timestamp>,
    /// Failed requests that count against `backoffLimit`.
    pub(crate) attempts: u32,
    /// Failures since the last answer, of any class.
    failures_in_a_row: u32,
    /// What the last request failed with, unless it was answered.
    pub(crate) failure: Option<Failure>,
    /// The page is not asked for again before this time.
    pub(crate) not_before: Option<Timestamp>,
    /// Since when its object waits, as far as the object tells.
    pub(crate) since: Since,
    /// When it had its latest page, of several. Its age in the queue counts from there, so that others are served in
    /// between.
    pub(crate) latest_answer: Option<Timestamp>,
    /// The latest page that it wanted of several, once it had the first one.
    pub(crate) further: Option<Page>,
    /// Since when it waits for the page that it needs next.
    pub(crate) queued_since: Option<Timestamp>,
    /// A request for it has been under way for so long that its users should be told.
    pub(crate) lingers: bool,
    /// How many slices were there when that was told, and when it was (or could have been, in an earlier process).
    pub(crate) slices_told: usize,
    pub(crate) told_at: Timestamp,
    /// Reconciliations in a row that ended in an error (a database or Kubernetes away).
    pub(crate) errors_in_a_row: u32,
}

impl Progress {
    /// What the object itself tells, when this process first sees it.
    pub(crate) fn of(object: &ArxivQuery, now: Timestamp) -> Self {
        let status = object.status.as_ref();
        let started = status.and_then(|s| s.start_time.as_ref()).map(|time| time.0);
        let attempts = status.and_then(|s| s.attempts).unwrap_or(0);
        let attempts = u32::try_from(attempts).unwrap_or(0);
        let made = object.metadata.creation_timestamp.as_ref().map(|made| made.0);
        let since = Since::made(made.unwrap_or(now), object.metadata.resource_version.as_deref());
        // Kubernetes tells the second.
        let made = made.and_then(|made| made.checked_add(Duration::from_secs(1)).ok());
        Self {
            made: made.unwrap_or(now),
            fresh: object.spec.cache_policy == CachePolicy::Refresh,
            day: arxiv::arxiv_day(started.unwrap_or(now)),
            started,
            attempts,
            failures_in_a_row: attempts,
            failure: None,
            not_before: None,
            since,
            latest_answer: None,
            further: None,
            queued_since: None,
            lingers: false,
            slices_told: 0,
            told_at: now,
            errors_in_a_row: 0,
        }
    }

    /// Which version of a page is for it. It stays the same whatever others have fetched later, so that a query that goes
    /// on finds what it found before.
    pub(crate) fn page_version(&self) -> PageVersion {
        if self.fresh {
            PageVersion::After(self.made)
        } else {
            PageVersion::AsOf(self.made)
        }
    }

    /// The day and the version of its pages.
    pub(crate) fn selector(&self) -> PageSelector {
        PageSelector {
            day: self.day,
            version: self.page_version(),
        }
    }

    /// A request that began at `began` was answered by `now`, with a page that was stored at `fetched_at` by the
    /// database's clock if it was fetched for those who wait.
    pub(crate) fn answered(&mut self, began: Timestamp, now: Timestamp, fetched_at: Option<Timestamp>) {
        // What was fetched for it will do, even if the database's clock is behind that of Kubernetes.
        let before = fetched_at.and_then(|at| at.checked_sub(Duration::from_micros(1)).ok());
        self.made = before.map_or(self.made, |before| self.made.min(before));
        self.latest_answer = Some(now);
        self.started.get_or_insert(began);
        self.failures_in_a_row = 0;
        self.failure = None;
        self.not_before = None;
        self.lingers = false;
    }

    /// A request that began at `began` failed at `now`.
    pub(crate) fn failed(&mut self, failure: Failure, began: Timestamp, now: Timestamp, backoff: &Backoff) {
        self.started.get_or_insert(began);
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        let delay = match failure.class {
            // The cool-down that everybody shares paces these. Waiting for one's own beside it would only lose the
            // place in the queue.
            FailureClass::Throttled => Duration::ZERO,
            FailureClass::Unreachable | FailureClass::Invalid => backoff.delay(self.failures_in_a_row),
            FailureClass::Broken => {
                self.attempts = self.attempts.saturating_add(1);
                backoff.delay(self.failures_in_a_row)
            }
        };
        self.not_before = now.checked_add(delay).ok();
        self.failure = Some(failure);
        self.lingers = false;
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

    fn failure(class: FailureClass) -> Failure {
        Failure {
            class,
            reason: Reason::Unreachable,
            http_status: 500,
            message: "words".into(),
        }
    }

    #[test]
    fn only_broken_answers_count_and_only_throttling_has_no_wait_of_its_own() {
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
    fn an_answer_ends_the_row_of_failures_but_gives_no_attempts_back() {
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
    fn a_refreshed_query_takes_what_came_after_its_object_or_was_fetched_for_it() {
        let mut object = ArxivQuery::new("q", ArxivQuerySpec::default());
        object.metadata.creation_timestamp = Some(Time(at(100)));
        let reuse = Progress::of(&object, at(200));
        assert_eq!(reuse.page_version(), PageVersion::AsOf(at(101)));
        object.spec.cache_policy = CachePolicy::Refresh;
        let mut refresh = Progress::of(&object, at(200));
        assert_eq!(refresh.page_version(), PageVersion::After(at(101)));
        refresh.answered(at(200), at(203), Some(at(203)));
        assert_eq!(refresh.page_version(), PageVersion::After(at(101)));
        // By the database's clock it is still before the object's time.
        refresh.answered(at(210), at(213), Some(at(50)));
        let before = at(50).checked_sub(Duration::from_micros(1)).unwrap();
        assert_eq!(refresh.page_version(), PageVersion::After(before));
    }

    #[test]
    fn what_the_status_holds_outlives_a_restart() {
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
