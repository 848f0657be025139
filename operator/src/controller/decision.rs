//! What to do next with a query whose pages are not all there: a pure function of its limits, of what is known, and
//! of the time.

use std::time::Duration;

use arxiv::FailureClass;
use crd::{ArxivQuery, Reason};
use jiff::Timestamp;
use storage::FailureRecord;

use crate::fetch::progress::{Failure, Progress};

/// What a query's own object allows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Broken answers that are retried.
    pub(crate) backoff_limit: u32,
    /// How long after its first request it may go on.
    pub(crate) active_deadline: Option<Duration>,
    /// Whether its first upstream error, of whatever class, is its end.
    pub(crate) fails_fast: bool,
}

impl From<&ArxivQuery> for Limits {
    fn from(object: &ArxivQuery) -> Self {
        let deadline = object.spec.active_deadline_seconds;
        Self {
            backoff_limit: u32::try_from(object.spec.backoff_limit()).unwrap_or(0),
            active_deadline: deadline
                .and_then(|s| u64::try_from(s).ok())
                .map(Duration::from_secs),
            fails_fast: object.fails_fast(),
        }
    }
}

/// Why a query ends as Failed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Verdict {
    /// For the conditions and the Event.
    pub(crate) reason: Reason,
    /// For people.
    pub(crate) message: String,
    /// The HTTP status that a caller of the REST API gets.
    pub(crate) http_status: Option<u16>,
}

/// The next step of a query that lacks a page.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Next {
    /// It ends.
    Fail(Verdict),
    /// It is left alone until then.
    Wait { until: Timestamp },
    /// It asks for its page, and waits for it; at `deadline` it is looked at again if it still has none.
    Fetch { deadline: Option<Timestamp> },
}

/// The next step of a query that lacks a page.
pub(crate) fn next(limits: &Limits, known: &Progress, now: Timestamp) -> Next {
    let deadline = deadline(limits, known);
    if let Some(failure) = &known.failure {
        if limits.fails_fast || failure.class == FailureClass::Invalid {
            return Next::Fail(Verdict::because(failure, failure.message.clone()));
        }
        if known.attempts > limits.backoff_limit {
            let tries = known.attempts;
            let message = format!(
                "given up after {tries} broken answer{}; the last one: {}",
                if tries == 1 { "" } else { "s" },
                failure.message
            );
            return Next::Fail(Verdict::because(failure, message));
        }
    }
    if deadline.is_some_and(|deadline| deadline <= now) {
        return Next::Fail(deadline_exceeded(limits, known));
    }
    match known.not_before {
        Some(until) if until > now => Next::Wait {
            until: deadline.map_or(until, |deadline| deadline.min(until)),
        },
        _ => Next::Fetch { deadline },
    }
}

fn deadline(limits: &Limits, known: &Progress) -> Option<Timestamp> {
    known.started?.checked_add(limits.active_deadline?).ok()
}

fn deadline_exceeded(limits: &Limits, known: &Progress) -> Verdict {
    let seconds = limits.active_deadline.unwrap_or_default().as_secs();
    let mut message = format!("not done {seconds} seconds after its first request to arXiv");
    if let Some(failure) = &known.failure {
        message.push_str("; the last one: ");
        message.push_str(&failure.message);
    }
    let http_status = known.failure.as_ref().map(|failure| failure.http_status);
    Verdict {
        reason: Reason::DeadlineExceeded,
        message,
        http_status,
    }
}

impl From<FailureRecord> for Verdict {
    fn from(closing: FailureRecord) -> Self {
        let FailureRecord {
            reason,
            message,
            http_status,
        } = closing;
        Self {
            reason: Reason::of_failure(&reason),
            message,
            http_status,
        }
    }
}

impl Verdict {
    fn because(failure: &Failure, message: String) -> Self {
        Self {
            reason: failure.reason,
            message,
            http_status: Some(failure.http_status),
        }
    }
}

#[cfg(test)]
mod tests {
    use crd::ArxivQuerySpec;

    use jiff::civil::date;

    use super::*;
    use FailureClass::{Broken, Invalid, Throttled, Unreachable};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    const PATIENT: Limits = Limits {
        backoff_limit: 2,
        active_deadline: None,
        fails_fast: false,
    };
    const DEADLINE: Limits = Limits {
        active_deadline: Some(Duration::from_mins(1)),
        ..PATIENT
    };
    const REST: Limits = Limits {
        backoff_limit: 0,
        active_deadline: None,
        fails_fast: true,
    };

    fn known(
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
        progress.failure = failure.map(|class| Failure {
            class,
            reason: Reason::Unreachable,
            http_status: 503,
            message: "words".into(),
        });
        progress
    }

    /// An end, shortened to what differs.
    fn fail(reason: Reason, http_status: Option<u16>) -> Next {
        Next::Fail(Verdict {
            reason,
            message: String::new(),
            http_status,
        })
    }

    #[test]
    fn every_situation_has_its_next_step() {
        let wait = |seconds| Next::Wait { until: at(seconds) };
        let fetch = |deadline: Option<i64>| Next::Fetch {
            deadline: deadline.map(at),
        };
        let upstreams = || fail(Reason::Unreachable, Some(503));
        let no_retries = Limits {
            backoff_limit: 0,
            ..PATIENT
        };
        #[rustfmt::skip]
        let cases = [
            // It is 100; what is known: started, last failure, failures that count, not before.
            ("new", PATIENT, known(None, None, 0, None), fetch(None)),
            ("new with a deadline: waiting is not counted", DEADLINE, known(None, None, 0, None), fetch(None)),
            ("between slices", DEADLINE, known(Some(70), None, 0, None), fetch(Some(130))),
            ("invalid", PATIENT, known(Some(90), Some(Invalid), 0, Some(110)), upstreams()),
            ("broken, retried", PATIENT, known(Some(90), Some(Broken), 2, Some(110)), wait(110)),
            ("broken, its time has come", PATIENT, known(Some(90), Some(Broken), 2, Some(100)), fetch(None)),
            ("broken too often", PATIENT, known(Some(90), Some(Broken), 3, Some(110)), upstreams()),
            ("broken earlier, then answered", PATIENT, known(Some(90), None, 2, None), fetch(None)),
            ("unreachable for ever", PATIENT, known(Some(1), Some(Unreachable), 0, Some(110)), wait(110)),
            ("throttled", PATIENT, known(Some(90), Some(Throttled), 0, Some(90)), fetch(None)),
            ("a deadline before the retry", DEADLINE, known(Some(45), Some(Broken), 1, Some(110)), wait(105)),
            ("a deadline over while unreachable", DEADLINE, known(Some(40), Some(Unreachable), 0, Some(110)),
                fail(Reason::DeadlineExceeded, Some(503))),
            ("a deadline over between slices", DEADLINE, known(Some(40), None, 0, None),
                fail(Reason::DeadlineExceeded, None)),
            ("fast: new", REST, known(None, None, 0, None), fetch(None)),
            ("fast: throttled", REST, known(Some(90), Some(Throttled), 0, Some(90)), upstreams()),
            ("fast: unreachable", REST, known(Some(90), Some(Unreachable), 0, Some(110)), upstreams()),
            ("fast: broken", REST, known(Some(90), Some(Broken), 1, Some(110)), upstreams()),
            ("no retries: throttled", no_retries, known(Some(90), Some(Throttled), 0, Some(90)), fetch(None)),
            ("no retries: broken", no_retries, known(Some(90), Some(Broken), 1, Some(110)), upstreams()),
        ];
        for (name, limits, known, expected) in cases {
            let mut got = next(&limits, &known, at(100));
            if let Next::Fail(verdict) = &mut got {
                assert!(!verdict.message.is_empty(), "{name}: says why");
                verdict.message.clear();
            }
            assert_eq!(got, expected, "{name}");
        }
    }

    #[test]
    fn the_last_failure_is_part_of_the_verdict() {
        let verdict = |limits: &Limits, known: &Progress| match next(limits, known, at(100)) {
            Next::Fail(verdict) => verdict.message,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            verdict(&PATIENT, &known(Some(90), Some(Broken), 3, None)),
            "given up after 3 broken answers; the last one: words"
        );
        assert_eq!(
            verdict(&DEADLINE, &known(Some(40), Some(Throttled), 0, None)),
            "not done 60 seconds after its first request to arXiv; the last one: words"
        );
    }
}
