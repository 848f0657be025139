//! What the users of a query that is not done are told, and whether that is worth a status write: writes are the
//! dearest thing that a query costs Kubernetes, so a quick one is told of once, at its end.

use std::time::Duration;

use arxiv::FailureClass;
use crd::{ArxivQuery, Phase};
use jiff::Timestamp;

use crate::{
    controller::conditions::{Obstacle, whole_second},
    fetch::progress::Progress,
};

/// A cool-down that ends sooner is not worth a write of its own.
const SHORT: Duration = Duration::from_secs(10);

/// The progress of a search of many slices is told at most this often: it has at most 15, and a status write costs Kubernetes
/// more than the slice costs us.
const PROGRESS: Duration = Duration::from_mins(1);

/// What a status write says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Telling {
    pub(crate) obstacle: Option<Obstacle>,
    pub(crate) message: String,
    /// When arXiv is asked again, if it is left alone now.
    pub(crate) asked_again_at: Option<Timestamp>,
}

impl Telling {
    /// Says how many requests are before this query's, where that means a wait of half a minute and more. One digit is kept:
    /// it changes with every request, and is not written again for that.
    pub(crate) fn with_place(mut self, before: Option<usize>) -> Self {
        if let Some(before) = before.filter(|before| *before >= 10) {
            let unit = 10_usize.pow(before.ilog10());
            let about = (before + unit / 2) / unit * unit;
            self.message = format!("{}; about {about} requests are before it", self.message);
        }
        self
    }
}

/// What stands between a query and its next page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Situation<'a> {
    pub(crate) known: &'a Progress,
    /// arXiv is asked nothing before this time.
    pub(crate) cooling_until: Option<Timestamp>,
    /// Slices that are there, and how many there must be.
    pub(crate) slices: (usize, usize),
}

/// What to write now, if anything.
pub(crate) fn telling(object: &ArxivQuery, situation: Situation<'_>, now: Timestamp) -> Option<Telling> {
    let Situation {
        known,
        cooling_until,
        slices: (there, all),
    } = situation;
    let cooling_until = cooling_until.filter(|until| *until > now);
    let failure = known.failure.as_ref();
    let obstacle = match failure.and_then(|failure| Obstacle::of(failure.class)) {
        Some(Obstacle::Throttled) | None => cooling_until.map(|_| Obstacle::Throttled),
        obstacle => obstacle,
    };
    let told = object.status.as_ref();
    let told_obstacle = Obstacle::told(object).is_some();
    let told_running = object.phase() == Phase::Running;
    let told_attempts = told.and_then(|status| status.attempts).unwrap_or(0);

    let long_cool_down = cooling_until.is_some_and(|until| until.duration_since(now).unsigned_abs() > SHORT);
    let stands_still = failure.is_some_and(|failure| failure.class == FailureClass::Unreachable);
    let newly_waits = !told_obstacle && (long_cool_down || stands_still);
    // A retry or an answer shows that it goes on; the end of a cool-down alone does not, as the queue may be long.
    let waits_no_longer = told_obstacle && obstacle.is_none() && (failure.is_none() && there > 0);
    let takes_long = failure.is_some() || there > 0 || known.lingers;
    let newly_running = !told_running && known.started.is_some() && takes_long;
    // Each failed attempt that counts is kept, or a process that restarts often would retry for ever.
    let newly_failed = i32::try_from(known.attempts).is_ok_and(|attempts| attempts > told_attempts);
    let resumed = object.phase() == Phase::Suspended;
    let newly_progressed = told_running
        && there > known.slices_told
        && now.duration_since(known.told_at).unsigned_abs() >= PROGRESS;
    if !(newly_waits || waits_no_longer || newly_running || newly_failed || newly_progressed || resumed) {
        return None;
    }
    let message = match (
        failure,
        cooling_until,
        known.not_before.filter(|until| *until > now),
    ) {
        (Some(failure), _, Some(until)) => {
            format!("{}; next try at {}", failure.message, whole_second(until))
        }
        (Some(failure), Some(until), None) => {
            format!(
                "{}; requests to arXiv go on at {}",
                failure.message,
                whole_second(until)
            )
        }
        (Some(failure), None, None) => format!("{}; waiting for the next try", failure.message),
        (None, Some(until), _) => {
            format!(
                "arXiv asked to slow down; requests go on at {}",
                whole_second(until)
            )
        }
        (None, None, _) if known.started.is_none() => "waiting for its turn".to_owned(),
        (None, None, _) if all > 1 => format!("fetched {there} of {all} slices"),
        (None, None, _) => "waiting for arXiv's answer".to_owned(),
    };
    Some(Telling {
        obstacle,
        message,
        asked_again_at: cooling_until,
    })
}

/// Reconciliations that fail in a row before a database that is away is told of: with the waits between them, a
/// minute.
const LONG_AWAY: u32 = 6;

/// What to write when a database has been away for long. `errors` counts the failed reconciliations before this one.
pub(crate) fn database_away(object: &ArxivQuery, errors: u32) -> Option<Telling> {
    let told = Obstacle::told(object).is_some();
    (errors >= LONG_AWAY && !told).then(|| Telling {
        obstacle: Some(Obstacle::DatabaseAway),
        message: "a database is not available; the query goes on when it is back".to_owned(),
        asked_again_at: None,
    })
}

#[cfg(test)]
mod tests {
    use crd::ArxivQuerySpec;

    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

    use super::*;
    use crate::fetch::progress::Failure;
    use FailureClass::{Broken, Throttled, Unreachable};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    /// An object that was told this before.
    fn object(phase: Phase, attempts: i32, waits: bool) -> ArxivQuery {
        let mut object = ArxivQuery::new("q", ArxivQuerySpec::default());
        let mut status = crd::ArxivQueryStatus {
            phase,
            attempts: Some(attempts),
            ..Default::default()
        };
        if waits {
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

    fn known(
        started: bool,
        failure: Option<FailureClass>,
        attempts: u32,
        not_before: Option<i64>,
    ) -> Progress {
        let mut progress = Progress::of(&object(Phase::Pending, 0, false), at(90));
        progress.started = started.then(|| at(50));
        progress.attempts = attempts;
        progress.not_before = not_before.map(at);
        progress.failure = failure.map(|class| Failure {
            class,
            reason: crd::Reason::Unreachable,
            http_status: 500,
            message: "words".into(),
        });
        progress
    }

    #[test]
    fn only_what_is_new_and_lasts_is_told() {
        let new = || object(Phase::Pending, 0, false);
        let running = |attempts, waits| object(Phase::Running, attempts, waits);
        let mut lingering = known(true, None, 0, None);
        lingering.lingers = true;
        let some = |obstacle: Option<Obstacle>, message: &str| {
            Some(Telling {
                obstacle,
                message: message.into(),
                asked_again_at: message.contains("go on at").then(|| at(150)),
            })
        };
        let (cooling, away) = (Some(Obstacle::Throttled), Some(Obstacle::Unreachable));
        let paused = "words; requests to arXiv go on at 1970-01-01T00:02:30Z";
        let next_try = "words; next try at 1970-01-01T00:02:30Z";
        let slow_down = "arXiv asked to slow down; requests go on at 1970-01-01T00:02:30Z";
        let waits = || object(Phase::Pending, 0, true);
        let broken = |attempts| known(true, Some(Broken), attempts, Some(150));
        let away_now = || known(true, Some(Unreachable), 0, Some(150));
        let throttled = || known(true, Some(Throttled), 0, Some(100));
        let nothing = |started| known(started, None, 0, None);
        let told = |slices, when| {
            let mut known = nothing(true);
            (known.slices_told, known.told_at) = (slices, at(when));
            known
        };
        #[rustfmt::skip]
        let cases = vec![
            // It is 100. The object as told before, what is known, the end of the cool-down, slices there and in all.
            ("new", new(), nothing(false), None, (0, 1), None),
            ("a short cool-down", new(), nothing(false), Some(105), (0, 1), None),
            ("a long cool-down", new(), nothing(false), Some(150), (0, 1), some(cooling, slow_down)),
            ("the same, told", waits(), nothing(false), Some(150), (0, 1), None),
            ("it is over", waits(), nothing(false), None, (0, 1), None),
            ("throttled", new(), throttled(), Some(150), (0, 1), some(cooling, paused)),
            ("throttled again", running(0, true), throttled(), Some(150), (0, 1), None),
            ("unreachable", new(), away_now(), None, (0, 1), some(away, next_try)),
            ("unreachable, told", running(0, true), away_now(), None, (0, 1), None),
            ("broken", new(), broken(1), None, (0, 1), some(None, next_try)),
            ("broken, told", running(1, false), broken(1), None, (0, 1), None),
            ("broken again", running(1, false), broken(2), None, (0, 1), some(None, next_try)),
            ("a slice more", new(), nothing(true), None, (1, 3), some(None, "fetched 1 of 3 slices")),
            ("yet another slice", running(0, false), nothing(true), None, (2, 3), None),
            ("goes on", running(0, true), nothing(true), None, (2, 3), some(None, "fetched 2 of 3 slices")),
            ("a minute later", running(0, false), told(1, 40), None, (2, 3), some(None, "fetched 2 of 3 slices")),
            ("not a minute later", running(0, false), told(1, 41), None, (2, 3), None),
            ("a minute later, nothing new", running(0, false), told(2, 0), None, (2, 3), None),
            ("resumed", object(Phase::Suspended, 0, false), nothing(false), None, (0, 1), some(None, "waiting for its turn")),
            ("resumed after slices", object(Phase::Suspended, 0, false), nothing(false), None, (1, 3), some(None, "waiting for its turn")),
            ("lingers", new(), lingering, None, (0, 1), some(None, "waiting for arXiv's answer")),
        ];
        for (name, object, known, cooling_until, slices, expected) in cases {
            let situation = Situation {
                known: &known,
                cooling_until: cooling_until.map(at),
                slices,
            };
            assert_eq!(telling(&object, situation, at(100)), expected, "{name}");
        }
    }

    #[test]
    fn a_place_is_told_roughly() {
        for (before, message) in [
            (None, "waits"),
            (Some(0), "waits"),
            (Some(9), "waits"),
            (Some(10), "waits; about 10 requests are before it"),
            (Some(14), "waits; about 10 requests are before it"),
            (Some(15), "waits; about 20 requests are before it"),
            (Some(949), "waits; about 900 requests are before it"),
            (Some(951), "waits; about 1000 requests are before it"),
            (Some(9_999), "waits; about 10000 requests are before it"),
        ] {
            let telling = Telling {
                obstacle: None,
                message: "waits".into(),
                asked_again_at: None,
            };
            assert_eq!(telling.with_place(before).message, message, "{before:?}");
        }
    }

    #[test]
    fn a_database_is_told_of_once_and_only_when_it_is_away_for_long() {
        for (told, errors, tells) in [
            (false, 5, false),
            (false, 6, true),
            (true, 6, false),
            (true, 600, false),
        ] {
            let telling = database_away(&object(Phase::Pending, 0, told), errors);
            assert_eq!(telling.is_some(), tells, "told {told}, {errors} errors");
        }
    }
}
