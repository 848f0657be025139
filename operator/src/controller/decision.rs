//! Step 6 of a query's life: the decision about its next action. A pure function of what was read and of
//! the time.

use std::time::Duration;

use arxiv::{FailureClass, PageRequest};
use crd::{ArxivQuery, Reason};
use jiff::Timestamp;
use storage::{Ending, FailureRecord};

use super::{
    context::Snapshot,
    pages::{MissingPage, StoredPages},
    report::progress_report::{StatusUpdate, next_update, suspension_is_unreported},
};
use crate::fetch::progress::Progress;

/// What steps 3 to 5 found out about a query. The first of them that decides ends the search for facts.
#[derive(Debug)]
pub(crate) enum Facts {
    /// Step 3: its spec is no valid search.
    Invalid(FailureRecord),
    /// Step 4: an earlier reconciliation, in whichever process, has ended it.
    Ended(Ending),
    /// It was just restored from a backup, and its status may follow.
    Restored { until: Timestamp },
    /// Its spec says that it is not to run.
    Suspended,
    /// Step 5: a page is not stored.
    Missing(MissingPage),
    /// Step 5: all pages are stored.
    Complete(StoredPages),
}

/// The next action for a query.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum QueryDecision {
    /// Its end is in the database: only the status is written.
    Finish(Ending),
    /// It fails: a tombstone, then the status.
    Fail(FailureRecord),
    /// All pages are stored: a number, the rows, then the status.
    Record(StoredPages),
    /// It leaves the queue until its spec changes. `report`: its status does not say so yet.
    Suspend { report: bool },
    /// It waits.
    Wait {
        /// The page that it waits for in the queue; none while it must not be requested.
        page: Option<PageRequest>,
        /// When it is reconciled again, if nothing happens before.
        until: Option<Timestamp>,
        /// How many of its pages are stored.
        stored: usize,
        /// The status to write, if it is worth a write.
        report: Option<StatusUpdate>,
    },
}

/// Decides on the next action for a query.
pub(crate) fn decide(snapshot: Snapshot<'_>, facts: Facts) -> QueryDecision {
    let missing = match facts {
        Facts::Invalid(failure) => return QueryDecision::Fail(failure),
        Facts::Ended(ending) => return QueryDecision::Finish(ending),
        Facts::Complete(pages) => return QueryDecision::Record(pages),
        Facts::Restored { until } => {
            return QueryDecision::Wait {
                page: None,
                until: Some(until),
                stored: 0,
                report: None,
            };
        }
        Facts::Suspended => {
            return QueryDecision::Suspend {
                report: suspension_is_unreported(snapshot.object),
            };
        }
        Facts::Missing(missing) => missing,
    };
    let limits = Limits::from(snapshot.object);
    let (is_due, until) = match next(&limits, snapshot.progress, snapshot.now) {
        Next::Fail(failure) => return QueryDecision::Fail(failure),
        Next::Wait { until } => (false, Some(until)),
        Next::Fetch { deadline } => (true, deadline),
    };
    QueryDecision::Wait {
        until,
        stored: missing.stored,
        report: next_update(snapshot, &missing),
        page: is_due.then_some(missing.request),
    }
}

/// What a query's own object allows it.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Broken answers that are retried.
    backoff_limit: u32,
    /// How long it may take from its first request on.
    active_deadline: Option<Duration>,
    /// Whether its first upstream error, of any class, is its end.
    fails_fast: bool,
}

impl From<&ArxivQuery> for Limits {
    fn from(object: &ArxivQuery) -> Self {
        let deadline = object.spec.active_deadline_seconds;
        Self {
            backoff_limit: u32::try_from(object.spec.backoff_limit).unwrap_or(0),
            active_deadline: deadline.and_then(|s| Some(Duration::from_secs(s.try_into().ok()?))),
            fails_fast: object.fails_fast(),
        }
    }
}

/// How a query with a missing page continues.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Next {
    /// It ends.
    Fail(FailureRecord),
    /// Nothing is requested for it before this time.
    Wait { until: Timestamp },
    /// Its page is requested; at `deadline` it is reconciled again if the page is still missing.
    Fetch { deadline: Option<Timestamp> },
}

fn next(limits: &Limits, progress: &Progress, now: Timestamp) -> Next {
    let deadline = limits
        .active_deadline
        .and_then(|limit| progress.started?.checked_add(limit).ok());
    if let Some(failure) = &progress.failure {
        if limits.fails_fast || failure.class == FailureClass::Invalid {
            return Next::Fail(failure.record.clone());
        }
        if progress.attempts > limits.backoff_limit {
            let attempts = progress.attempts;
            let message = format!(
                "given up after {attempts} broken answer{}; the last one: {}",
                if attempts == 1 { "" } else { "s" },
                failure.record.message
            );
            return Next::Fail(FailureRecord {
                message,
                ..failure.record.clone()
            });
        }
    }
    if deadline.is_some_and(|deadline| deadline <= now) {
        return Next::Fail(deadline_exceeded(limits, progress));
    }
    match progress.not_before {
        Some(until) if until > now => Next::Wait {
            until: deadline.map_or(until, |deadline| deadline.min(until)),
        },
        _ => Next::Fetch { deadline },
    }
}

fn deadline_exceeded(limits: &Limits, progress: &Progress) -> FailureRecord {
    let seconds = limits.active_deadline.unwrap_or_default().as_secs();
    let mut message = format!("not done {seconds} seconds after its first request to arXiv");
    let mut http_status = None;
    if let Some(failure) = &progress.failure {
        message = format!("{message}; the last one: {}", failure.record.message);
        http_status = failure.record.http_status;
    }
    FailureRecord {
        reason: Reason::DeadlineExceeded.as_str().to_owned(),
        message,
        http_status,
    }
}

#[cfg(test)]
mod tests {
    use arxiv::ValidatedSearch;
    use crd::{ArxivQuerySpec, ArxivQueryStatus, Phase};
    use jiff::civil::date;

    use super::*;
    use crate::fetch::progress::RequestFailure;
    use FailureClass::{Broken, Invalid, Throttled, Unreachable};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    const RETRYING: Limits = Limits {
        backoff_limit: 2,
        active_deadline: None,
        fails_fast: false,
    };
    const DEADLINE: Limits = Limits {
        active_deadline: Some(Duration::from_mins(1)),
        ..RETRYING
    };
    const REST: Limits = Limits {
        backoff_limit: 0,
        active_deadline: None,
        fails_fast: true,
    };

    fn progress(
        started: Option<i64>,
        failure: Option<FailureClass>,
        attempts: u32,
        not_before: Option<i64>,
    ) -> Progress {
        let mut progress = Progress::of(&ArxivQuery::new("q", ArxivQuerySpec::default()), at(0));
        progress.day = date(2024, 5, 6);
        progress.started = started.map(at);
        progress.attempts = attempts;
        progress.not_before = not_before.map(at);
        progress.failure = failure.map(|class| RequestFailure {
            class,
            record: FailureRecord {
                reason: Reason::Unreachable.as_str().into(),
                message: "words".into(),
                http_status: Some(503),
            },
        });
        progress
    }

    fn request() -> PageRequest {
        PageRequest {
            search: ValidatedSearch::new("ti:x".into(), String::new(), "", ""),
            start: 2_000,
            count: 2_000,
        }
    }

    /// A failure without its message.
    fn fail(reason: Reason, http_status: Option<u16>) -> Next {
        Next::Fail(FailureRecord {
            reason: reason.as_str().to_owned(),
            message: String::new(),
            http_status,
        })
    }

    #[test]
    fn next_follows_limits_progress_and_time() {
        let wait = |seconds| Next::Wait { until: at(seconds) };
        let fetch = |deadline: Option<i64>| Next::Fetch {
            deadline: deadline.map(at),
        };
        let as_upstream = || fail(Reason::Unreachable, Some(503));
        let no_retries = Limits {
            backoff_limit: 0,
            ..RETRYING
        };
        #[rustfmt::skip]
        let cases = [
            // It is 100. The limits, and the progress: started, last failure, failures that count, not
            // before.
            ("new", RETRYING, progress(None, None, 0, None), fetch(None)),
            ("new with a deadline: waiting is not counted", DEADLINE, progress(None, None, 0, None), fetch(None)),
            ("between slices", DEADLINE, progress(Some(70), None, 0, None), fetch(Some(130))),
            ("invalid", RETRYING, progress(Some(90), Some(Invalid), 0, Some(110)), as_upstream()),
            ("broken, retried", RETRYING, progress(Some(90), Some(Broken), 2, Some(110)), wait(110)),
            ("broken, the wait is over", RETRYING, progress(Some(90), Some(Broken), 2, Some(100)), fetch(None)),
            ("broken too often", RETRYING, progress(Some(90), Some(Broken), 3, Some(110)), as_upstream()),
            ("broken earlier, then answered", RETRYING, progress(Some(90), None, 2, None), fetch(None)),
            ("unreachable for long", RETRYING, progress(Some(1), Some(Unreachable), 0, Some(110)), wait(110)),
            ("throttled", RETRYING, progress(Some(90), Some(Throttled), 0, Some(90)), fetch(None)),
            ("a deadline before the retry", DEADLINE, progress(Some(45), Some(Broken), 1, Some(110)), wait(105)),
            ("a deadline over while unreachable", DEADLINE, progress(Some(40), Some(Unreachable), 0, Some(110)),
                fail(Reason::DeadlineExceeded, Some(503))),
            ("a deadline over between slices", DEADLINE, progress(Some(40), None, 0, None),
                fail(Reason::DeadlineExceeded, None)),
            ("fast: new", REST, progress(None, None, 0, None), fetch(None)),
            ("fast: throttled", REST, progress(Some(90), Some(Throttled), 0, Some(90)), as_upstream()),
            ("fast: unreachable", REST, progress(Some(90), Some(Unreachable), 0, Some(110)), as_upstream()),
            ("fast: broken", REST, progress(Some(90), Some(Broken), 1, Some(110)), as_upstream()),
            ("no retries: throttled", no_retries, progress(Some(90), Some(Throttled), 0, Some(90)), fetch(None)),
            ("no retries: broken", no_retries, progress(Some(90), Some(Broken), 1, Some(110)), as_upstream()),
        ];
        for (name, limits, progress, expected) in cases {
            let mut got = next(&limits, &progress, at(100));
            if let Next::Fail(failure) = &mut got {
                assert!(!failure.message.is_empty(), "{name}: has a message");
                failure.message.clear();
            }
            assert_eq!(got, expected, "{name}");
        }
    }

    #[test]
    fn failure_message_contains_the_last_failure() {
        let failure = |limits: &Limits, progress: &Progress| match next(limits, progress, at(100)) {
            Next::Fail(failure) => failure.message,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            failure(&RETRYING, &progress(Some(90), Some(Broken), 3, None)),
            "given up after 3 broken answers; the last one: words"
        );
        assert_eq!(
            failure(&DEADLINE, &progress(Some(40), Some(Throttled), 0, None)),
            "not done 60 seconds after its first request to arXiv; the last one: words"
        );
    }

    #[test]
    fn decision_follows_facts() {
        let failure = FailureRecord {
            reason: "Reason".into(),
            message: "words".into(),
            http_status: Some(400),
        };
        let missing = || {
            Facts::Missing(MissingPage {
                request: request(),
                stored: 1,
                total: 3,
            })
        };
        let wait = |page, until| QueryDecision::Wait {
            page,
            until,
            stored: 1,
            report: None,
        };
        let started = |not_before| {
            let mut progress = progress(Some(90), None, 0, not_before);
            progress.slices_reported = 1;
            progress
        };
        let object = |phase| {
            let mut object = ArxivQuery::new("q", ArxivQuerySpec::default());
            object.status = Some(ArxivQueryStatus {
                phase,
                ..ArxivQueryStatus::default()
            });
            object
        };
        let (running, suspended) = (object(Phase::Running), object(Phase::Suspended));
        let ended = || Ending::Failed(failure.clone());
        #[rustfmt::skip]
        let cases = [
            ("invalid", &running, started(None), Facts::Invalid(failure.clone()), QueryDecision::Fail(failure.clone())),
            ("ended", &running, started(None), Facts::Ended(ended()), QueryDecision::Finish(ended())),
            ("ended, suspended", &suspended, started(None), Facts::Ended(ended()), QueryDecision::Finish(ended())),
            ("to suspend", &running, started(None), Facts::Suspended, QueryDecision::Suspend { report: true }),
            ("suspended", &suspended, started(None), Facts::Suspended, QueryDecision::Suspend { report: false }),
            ("a page is missing", &running, started(None), missing(), wait(Some(request()), None)),
            ("a page must wait", &running, started(Some(110)), missing(), wait(None, Some(at(110)))),
            ("all stored", &running, started(None), Facts::Complete(StoredPages::default()), QueryDecision::Record(StoredPages::default())),
        ];
        for (name, object, progress, facts, expected) in cases {
            let snapshot = Snapshot {
                object,
                progress: &progress,
                sent: None,
                cooling_until: None,
                now: at(100),
            };
            assert_eq!(decide(snapshot, facts), expected, "{name}");
        }
    }
}
