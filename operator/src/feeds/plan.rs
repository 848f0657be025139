//! When a feed runs: a pure function of its schedule and the time.

use jiff::{SignedDuration, Timestamp};
use schedule::Schedule;

/// What a schedule says at one time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Plan {
    /// The scheduled time of the run that is due: the last one, which covers those before it.
    pub(super) due: Option<Timestamp>,
    /// The last scheduled time that has no run, as it is too late for it.
    pub(super) missed: Option<Timestamp>,
    /// When the next run after it starts.
    pub(super) next: Option<Timestamp>,
}

/// How late a run of a feed may start.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Delays {
    /// So long after its scheduled time each run starts.
    pub(super) jitter: SignedDuration,
    /// So long after that it does not start any more.
    pub(super) deadline: Option<SignedDuration>,
}

/// The plan at `now`. `since` is the scheduled time of the last run, or when the feed was created.
pub(super) fn plan(schedule: &Schedule, since: Timestamp, now: Timestamp, delays: Delays) -> Plan {
    let Delays { jitter, deadline } = delays;
    let until = now.checked_sub(jitter).unwrap_or(Timestamp::MIN);
    let latest = schedule.latest_until(until).filter(|time| *time > since);
    let is_in_time =
        |time: &Timestamp| deadline.is_none_or(|deadline| until.duration_since(*time) <= deadline);
    let next = schedule.next_after(since.max(until));
    Plan {
        due: latest.filter(is_in_time),
        missed: latest.filter(|time| !is_in_time(time)),
        next: next.and_then(|next| next.checked_add(jitter).ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOURLY: &str = "0 * * * *";

    fn time(text: &str) -> Timestamp {
        format!("2026-03-02T{text}Z").parse().unwrap()
    }

    #[test]
    fn last_missed_time_is_due_once_and_the_next_one_is_after_it() {
        let none = Delays {
            jitter: SignedDuration::ZERO,
            deadline: None,
        };
        let jitter = Delays {
            jitter: SignedDuration::from_secs(90),
            ..none
        };
        let deadline = Delays {
            deadline: Some(SignedDuration::from_mins(5)),
            ..none
        };
        let both = Delays {
            jitter: SignedDuration::from_mins(2),
            ..deadline
        };
        #[rustfmt::skip]
        let cases = [
            ("created", "05:30:00", "05:59:59", none, (None, None, "06:00:00")),
            ("on time", "05:30:00", "06:00:00", none, (Some("06:00:00"), None, "07:00:00")),
            ("one of several", "02:00:00", "06:10:00", none, (Some("06:00:00"), None, "07:00:00")),
            ("has run", "06:00:00", "06:10:00", none, (None, None, "07:00:00")),
            ("created at the time", "06:00:00", "06:00:00", none, (None, None, "07:00:00")),
            ("before its delay", "05:00:00", "06:01:29", jitter, (None, None, "06:01:30")),
            ("after its delay", "05:00:00", "06:01:30", jitter, (Some("06:00:00"), None, "07:01:30")),
            ("the one before its delay", "04:00:00", "06:01:29", jitter, (Some("05:00:00"), None, "06:01:30")),
            ("in time", "05:00:00", "06:05:00", deadline, (Some("06:00:00"), None, "07:00:00")),
            ("too late", "05:00:00", "06:05:01", deadline, (None, Some("06:00:00"), "07:00:00")),
            ("delayed in time", "05:00:00", "06:07:00", both, (Some("06:00:00"), None, "07:02:00")),
            ("delayed too late", "05:00:00", "06:07:01", both, (None, Some("06:00:00"), "07:02:00")),
            ("clock went back", "08:00:00", "06:10:00", none, (None, None, "09:00:00")),
        ];
        let schedule = Schedule::new(HOURLY, "UTC").unwrap();
        for (name, since, now, delays, (due, missed, next)) in cases {
            let expected = Plan {
                due: due.map(time),
                missed: missed.map(time),
                next: Some(time(next)),
            };
            assert_eq!(
                plan(&schedule, time(since), time(now), delays),
                expected,
                "{name}"
            );
        }
    }
}
