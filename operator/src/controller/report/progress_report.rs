//! The status of a query that is not finished: what it says, and whether that is worth a write. Status writes
//! cost Kubernetes more than anything else of a query, so a quick query has only one, at its end.

use std::time::Duration;

use arxiv::FailureClass;
use crd::{ArxivQuery, ConditionType, Phase, Reason};
use jiff::{Timestamp, Unit};

use crate::controller::{context::Snapshot, pages::MissingPage};

/// A cool-down that ends sooner is not worth a write of its own.
const SHORT_COOL_DOWN: Duration = Duration::from_secs(10);
/// The shortest time between two reports of how many slices are fetched. A search has at most 15, and a
/// status write costs Kubernetes more than the slice costs us.
const PROGRESS_INTERVAL: Duration = Duration::from_mins(1);
/// How many reconciliations in a row fail before an unavailable database is reported: with the waits between
/// them, a minute.
const REPORTED_DATABASE_ERRORS: u32 = 6;

/// Why a query that could run does not: the reasons of the condition Ready, and of Events.
const BLOCKED: [Reason; 3] = [
    Reason::UpstreamThrottled,
    Reason::UpstreamUnreachable,
    Reason::DatabaseUnavailable,
];

/// What a failed request means for the queries that are queued behind it.
fn blocked_by(class: FailureClass) -> Option<Reason> {
    match class {
        FailureClass::Throttled => Some(Reason::UpstreamThrottled),
        FailureClass::Unreachable => Some(Reason::UpstreamUnreachable),
        FailureClass::Invalid | FailureClass::Broken => None,
    }
}

/// The blocked reason in the object's status.
pub(crate) fn reported(object: &ArxivQuery) -> Option<Reason> {
    let ready = object.condition(ConditionType::Ready)?;
    BLOCKED
        .into_iter()
        .find(|blocked| blocked.as_str() == ready.reason)
}

/// Whether the spec has changed since the status was written: tools wait until the status is about the present
/// one. They wait for a new object anyway, so the first generation by itself is not worth a write.
pub(crate) fn spec_has_changed(object: &ArxivQuery) -> bool {
    let observed = object
        .status
        .as_ref()
        .and_then(|status| status.observed_generation);
    let is_new = object.metadata.generation == Some(1) && observed.is_none_or(|observed| observed < 1);
    object.is_outdated() && !is_new
}

/// Whether the status of a suspended query does not say yet that it is suspended, and by its present spec.
pub(crate) fn suspension_is_unreported(object: &ArxivQuery) -> bool {
    object.phase() != Phase::Suspended || spec_has_changed(object)
}

/// What a status write says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct StatusUpdate {
    /// One of [`BLOCKED`].
    pub(crate) blocked: Option<Reason>,
    pub(crate) message: String,
    /// When requests to arXiv continue, during a cool-down.
    pub(crate) retry_after: Option<Timestamp>,
}

impl StatusUpdate {
    /// Adds how many requests are ahead of this query's, where that means a wait of half a minute or more.
    /// Only the first digit is kept: the number changes with every request, and is not written again for
    /// that.
    pub(crate) fn with_queue_position(mut self, requests_ahead: Option<usize>) -> Self {
        if let Some(ahead) = requests_ahead.filter(|ahead| *ahead >= 10) {
            let unit = 10_usize.pow(ahead.ilog10());
            let about = (ahead + unit / 2) / unit * unit;
            self.message = format!("{}; about {about} requests are ahead of it", self.message);
        }
        self
    }
}

/// What to write about a query that lacks a page, if anything.
pub(crate) fn next_update(snapshot: Snapshot<'_>, missing: &MissingPage) -> Option<StatusUpdate> {
    let Snapshot {
        object,
        progress,
        cooling_until,
        now,
        ..
    } = snapshot;
    let stored = missing.stored;
    let failure = progress.failure.as_ref();
    let blocked = match failure.and_then(|failure| blocked_by(failure.class)) {
        Some(Reason::UpstreamThrottled) | None => cooling_until.map(|_| Reason::UpstreamThrottled),
        blocked => blocked,
    };
    let reported_blocked = reported(object).is_some();
    let reported_running = object.phase() == Phase::Running;
    let reported_attempts = object.status.as_ref().and_then(|status| status.attempts);

    let long_cool_down =
        cooling_until.is_some_and(|until| until.duration_since(now).unsigned_abs() > SHORT_COOL_DOWN);
    let unreachable = failure.is_some_and(|failure| failure.class == FailureClass::Unreachable);
    let newly_blocked = !reported_blocked && (long_cool_down || unreachable);
    // A retry or an answer shows progress; the end of a cool-down alone does not, as the queue may be long.
    let unblocked = reported_blocked && blocked.is_none() && failure.is_none() && stored > 0;
    let takes_long = failure.is_some() || stored > 0 || progress.is_slow;
    let newly_running = !reported_running && progress.started.is_some() && takes_long;
    // Each attempt that counts is stored in the status, or a process that restarts often would retry without
    // end.
    let newly_failed =
        i32::try_from(progress.attempts).is_ok_and(|attempts| attempts > reported_attempts.unwrap_or(0));
    let resumed = object.phase() == Phase::Suspended;
    let spec_changed = spec_has_changed(object);
    let more_slices = reported_running
        && stored > progress.slices_reported
        && now.duration_since(progress.reported_at).unsigned_abs() >= PROGRESS_INTERVAL;
    let worth_a_write =
        newly_blocked || unblocked || newly_running || newly_failed || more_slices || resumed || spec_changed;
    worth_a_write.then(|| StatusUpdate {
        blocked,
        message: message(snapshot, missing),
        retry_after: cooling_until,
    })
}

fn message(snapshot: Snapshot<'_>, missing: &MissingPage) -> String {
    let progress = snapshot.progress;
    let not_before = progress.not_before.filter(|until| *until > snapshot.now);
    let cooling_until = snapshot.cooling_until.map(whole_second);
    if let Some(failure) = &progress.failure {
        let failed = &failure.record.message;
        return match (not_before.map(whole_second), cooling_until) {
            (Some(until), _) => format!("{failed}; next try at {until}"),
            (None, Some(until)) => format!("{failed}; requests to arXiv go on at {until}"),
            (None, None) => format!("{failed}; waiting for the next try"),
        };
    }
    match cooling_until {
        Some(until) => format!("arXiv asked to slow down; requests go on at {until}"),
        None if progress.started.is_none() => "waiting for its turn".to_owned(),
        None if missing.total > 1 => format!("fetched {} of {} slices", missing.stored, missing.total),
        None => "waiting for arXiv's answer".to_owned(),
    }
}

/// What to write when a database has been unavailable for some time, or is when the spec has changed. `errors`
/// counts the failed reconciliations in a row before this one.
pub(crate) fn report_database_outage(object: &ArxivQuery, errors: u32) -> Option<StatusUpdate> {
    let unreported = errors >= REPORTED_DATABASE_ERRORS && reported(object).is_none();
    (unreported || spec_has_changed(object)).then(|| StatusUpdate {
        blocked: Some(Reason::DatabaseUnavailable),
        message: "a database is not available; the query goes on when it is back".to_owned(),
        retry_after: None,
    })
}

/// Kubernetes keeps its times to the second.
pub(crate) fn whole_second(at: Timestamp) -> Timestamp {
    at.round(Unit::Second).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use arxiv::{PageRequest, ValidatedSearch};
    use crd::ArxivQuerySpec;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

    use storage::FailureRecord;

    use super::*;
    use crate::fetch::progress::{Progress, RequestFailure};
    use FailureClass::{Broken, Throttled, Unreachable};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    /// An object whose status says this.
    fn object(phase: Phase, attempts: i32, blocked: bool) -> ArxivQuery {
        let mut object = ArxivQuery::new("q", ArxivQuerySpec::default());
        let mut status = crd::ArxivQueryStatus {
            phase,
            attempts: Some(attempts),
            ..Default::default()
        };
        if blocked {
            let time = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(1));
            status.conditions.push(Condition {
                type_: "Ready".into(),
                status: "False".into(),
                reason: "UpstreamThrottled".into(),
                message: String::new(),
                last_transition_time: time,
                observed_generation: None,
            });
        }
        object.status = Some(status);
        object
    }

    fn progress(
        started: bool,
        failure: Option<FailureClass>,
        attempts: u32,
        not_before: Option<i64>,
    ) -> Progress {
        let mut progress = Progress::of(&object(Phase::Pending, 0, false), at(90));
        progress.started = started.then(|| at(50));
        progress.attempts = attempts;
        progress.not_before = not_before.map(at);
        progress.failure = failure.map(|class| RequestFailure {
            class,
            record: FailureRecord {
                reason: "Reason".into(),
                message: "words".into(),
                http_status: Some(500),
            },
        });
        progress
    }

    #[test]
    fn update_is_due_when_something_new_lasts() {
        let new = || object(Phase::Pending, 0, false);
        let running = |attempts, blocked| object(Phase::Running, attempts, blocked);
        let mut slow = progress(true, None, 0, None);
        slow.is_slow = true;
        let some = |blocked: Option<Reason>, message: &str| {
            Some(StatusUpdate {
                blocked,
                message: message.into(),
                retry_after: message.contains("go on at").then(|| at(150)),
            })
        };
        let (cooling, unreachable) = (Some(Reason::UpstreamThrottled), Some(Reason::UpstreamUnreachable));
        let paused = "words; requests to arXiv go on at 1970-01-01T00:02:30Z";
        let next_try = "words; next try at 1970-01-01T00:02:30Z";
        let slow_down = "arXiv asked to slow down; requests go on at 1970-01-01T00:02:30Z";
        let blocked = || object(Phase::Pending, 0, true);
        let broken = |attempts| progress(true, Some(Broken), attempts, Some(150));
        let unreachable_now = || progress(true, Some(Unreachable), 0, Some(150));
        let throttled = || progress(true, Some(Throttled), 0, Some(100));
        let nothing = |started| progress(started, None, 0, None);
        let reported = |slices, when| {
            let mut progress = nothing(true);
            (progress.slices_reported, progress.reported_at) = (slices, at(when));
            progress
        };
        let request = PageRequest {
            search: ValidatedSearch::new("ti:x".into(), String::new(), "", ""),
            start: 0,
            count: 2_000,
        };
        #[rustfmt::skip]
        let cases = vec![
            // It is 100. The object with its status, the progress, the end of the cool-down, slices stored
            // and in all.
            ("new", new(), nothing(false), None, (0, 1), None),
            ("a short cool-down", new(), nothing(false), Some(105), (0, 1), None),
            ("a long cool-down", new(), nothing(false), Some(150), (0, 1), some(cooling, slow_down)),
            ("the same, reported", blocked(), nothing(false), Some(150), (0, 1), None),
            ("it is over", blocked(), nothing(false), None, (0, 1), None),
            ("throttled", new(), throttled(), Some(150), (0, 1), some(cooling, paused)),
            ("throttled again", running(0, true), throttled(), Some(150), (0, 1), None),
            ("unreachable", new(), unreachable_now(), None, (0, 1), some(unreachable, next_try)),
            ("unreachable, reported", running(0, true), unreachable_now(), None, (0, 1), None),
            ("broken", new(), broken(1), None, (0, 1), some(None, next_try)),
            ("broken, reported", running(1, false), broken(1), None, (0, 1), None),
            ("broken again", running(1, false), broken(2), None, (0, 1), some(None, next_try)),
            ("a slice more", new(), nothing(true), None, (1, 3), some(None, "fetched 1 of 3 slices")),
            ("yet another slice", running(0, false), nothing(true), None, (2, 3), None),
            ("goes on", running(0, true), nothing(true), None, (2, 3), some(None, "fetched 2 of 3 slices")),
            ("a minute later", running(0, false), reported(1, 40), None, (2, 3), some(None, "fetched 2 of 3 slices")),
            ("not a minute later", running(0, false), reported(1, 41), None, (2, 3), None),
            ("a minute later, nothing new", running(0, false), reported(2, 0), None, (2, 3), None),
            ("resumed", object(Phase::Suspended, 0, false), nothing(false), None, (0, 1), some(None, "waiting for its turn")),
            ("resumed after slices", object(Phase::Suspended, 0, false), nothing(false), None, (1, 3), some(None, "waiting for its turn")),
            ("slow", new(), slow, None, (0, 1), some(None, "waiting for arXiv's answer")),
        ];
        for (name, object, progress, cooling_until, (stored, total), expected) in cases {
            let snapshot = Snapshot {
                object: &object,
                progress: &progress,
                sent: None,
                cooling_until: cooling_until.map(at),
                now: at(100),
            };
            let missing = MissingPage {
                request: request.clone(),
                stored,
                total,
            };
            assert_eq!(next_update(snapshot, &missing), expected, "{name}");
        }
    }

    #[test]
    fn queue_position_is_rounded_to_one_digit() {
        for (ahead, message) in [
            (None, "waits"),
            (Some(0), "waits"),
            (Some(9), "waits"),
            (Some(10), "waits; about 10 requests are ahead of it"),
            (Some(14), "waits; about 10 requests are ahead of it"),
            (Some(15), "waits; about 20 requests are ahead of it"),
            (Some(949), "waits; about 900 requests are ahead of it"),
            (Some(951), "waits; about 1000 requests are ahead of it"),
            (Some(9_999), "waits; about 10000 requests are ahead of it"),
        ] {
            let update = StatusUpdate {
                blocked: None,
                message: "waits".into(),
                retry_after: None,
            };
            assert_eq!(update.with_queue_position(ahead).message, message, "{ahead:?}");
        }
    }

    #[test]
    fn database_outage_is_reported_once_after_several_errors() {
        for (reported, errors, reports) in [
            (false, 5, false),
            (false, 6, true),
            (true, 6, false),
            (true, 600, false),
        ] {
            let update = report_database_outage(&object(Phase::Pending, 0, reported), errors);
            assert_eq!(update.is_some(), reports, "reported {reported}, {errors} errors");
        }
    }
}
