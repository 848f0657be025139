//! How long a query may wait, try and take: the limits of its own object, applied to its progress.

use std::time::Duration;

use arxiv::FailureClass;
use crd::{ArxivQuery, Reason};
use jiff::Timestamp;
use storage::FailureRecord;

use crate::fetch::progress::Progress;

/// When a query is looked at again that exceeds its wait while its turn has come.
const REQUEST_BEGINS_WITHIN: Duration = Duration::from_secs(1);

/// What a query's own object allows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Broken answers that are retried.
    backoff_limit: u32,
    /// How long it may wait for its first request.
    pending_deadline: Option<Duration>,
    /// How long it may take from its first request on.
    active_deadline: Option<Duration>,
    /// Whether its first upstream error, of any class, is its end.
    fails_fast: bool,
}

impl From<&ArxivQuery> for Limits {
    fn from(object: &ArxivQuery) -> Self {
        let duration = |seconds: Option<i64>| Some(Duration::from_secs(seconds?.try_into().ok()?));
        Self {
            pending_deadline: duration(object.spec.pending_deadline_seconds),
            backoff_limit: u32::try_from(object.spec.backoff_limit).unwrap_or(0),
            active_deadline: duration(object.spec.active_deadline_seconds),
            fails_fast: object.fails_fast(),
        }
    }
}

/// How a query with a missing page continues.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Next {
    /// It ends.
    Fail(FailureRecord),
    /// Nothing is requested for it before this time.
    Wait { until: Timestamp },
    /// Its page is requested; at `deadline` it is reconciled again if the page is still missing.
    Fetch { deadline: Option<Timestamp> },
}

pub(super) fn next(limits: &Limits, progress: &Progress, now: Timestamp) -> Next {
    let deadline = match progress.started {
        Some(started) => limits
            .active_deadline
            .and_then(|limit| started.checked_add(limit).ok()),
        None => limits
            .pending_deadline
            .and_then(|limit| progress.pending_since.checked_add(limit).ok()),
    };
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
        if progress.started.is_some() {
            return Next::Fail(deadline_exceeded(limits, progress));
        }
        if !progress.is_requested {
            return Next::Fail(pending_deadline_exceeded(limits));
        }
        // Its request begins at this moment, or is put off.
        return Next::Fetch {
            deadline: now.checked_add(REQUEST_BEGINS_WITHIN).ok(),
        };
    }
    match progress.not_before {
        Some(until) if until > now => Next::Wait {
            until: deadline.map_or(until, |deadline| deadline.min(until)),
        },
        _ => Next::Fetch { deadline },
    }
}

fn pending_deadline_exceeded(limits: &Limits) -> FailureRecord {
    let seconds = limits.pending_deadline.unwrap_or_default().as_secs();
    FailureRecord {
        reason: Reason::PendingDeadlineExceeded.as_str().to_owned(),
        message: format!("waited {seconds} seconds without a request to arXiv"),
        http_status: None,
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
pub(super) mod tests {
    use crd::ArxivQuerySpec;
    use jiff::civil::date;

    use super::*;
    use crate::fetch::progress::RequestFailure;
    use FailureClass::{Broken, Invalid, Throttled, Unreachable};

    pub(in super::super) fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    const RETRYING: Limits = Limits {
        backoff_limit: 2,
        pending_deadline: None,
        active_deadline: None,
        fails_fast: false,
    };
    const DEADLINE: Limits = Limits {
        active_deadline: Some(Duration::from_mins(1)),
        ..RETRYING
    };
    const IMPATIENT: Limits = Limits {
        pending_deadline: Some(Duration::from_mins(1)),
        ..RETRYING
    };
    const REST: Limits = Limits {
        backoff_limit: 0,
        pending_deadline: None,
        active_deadline: None,
        fails_fast: true,
    };

    pub(in super::super) fn progress(
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
        let waiting = |since, is_requested| {
            let mut progress = progress(None, None, 0, None);
            (progress.pending_since, progress.is_requested) = (at(since), is_requested);
            progress
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
            ("impatient: new", IMPATIENT, waiting(41, false), fetch(Some(101))),
            ("impatient: too late", IMPATIENT, waiting(40, false), fail(Reason::PendingDeadlineExceeded, None)),
            ("impatient: its turn has come", IMPATIENT, waiting(40, true), fetch(Some(101))),
            ("impatient: started in time", IMPATIENT, progress(Some(59), None, 0, None), fetch(None)),
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
}
