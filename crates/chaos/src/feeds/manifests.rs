//! The feeds of a run, as their manifests in a Git repository would have them.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde_json::{Value, json};

/// The Secret with what requests to the receiver are signed with, and its key.
pub(super) const SECRET: (&str, &str) = ("receiver", "secret");

/// A feed. Its webhook, if it has one, is that of the receiver.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manifest {
    pub(crate) name: &'static str,
    category: &'static str,
    max_results_per_run: i32,
    pub(crate) has_webhook: bool,
    /// Whether it is deleted and created again now and then.
    pub(super) is_renewed: bool,
}

/// Three searches: one with a webhook, one whose first papers are more than one of its runs looks at, and one that is deleted and
/// created again.
pub(crate) const MANIFESTS: [Manifest; 3] = [
    Manifest {
        name: "delivered",
        category: "math.CO",
        max_results_per_run: 2_000,
        has_webhook: true,
        is_renewed: false,
    },
    Manifest {
        name: "in-parts",
        category: "cs.DS",
        // A run that goes on looks at so many.
        max_results_per_run: 100,
        has_webhook: false,
        is_renewed: false,
    },
    Manifest {
        name: "renewed",
        category: "quant-ph",
        max_results_per_run: 2_000,
        has_webhook: true,
        is_renewed: true,
    },
];

impl Manifest {
    /// The search in arXiv's grammar. Every request of its runs has this text in it, and no other request does.
    pub(crate) fn search(&self) -> String {
        format!("cat:{}", self.category)
    }

    /// The object, with a schedule whose last time is this one.
    pub(super) fn object(&self, last: Timestamp, receiver: &str) -> Value {
        let mut spec = json!({
            "schedule": daily_at(last),
            "search": {"category": self.category},
            "maxResultsPerRun": self.max_results_per_run,
            // Stored pages count for one of the real days. Objects of other searches would be in front otherwise.
            "queryTemplate": {"spec": {"cachePolicy": "Refresh", "priority": 10}},
        });
        if self.has_webhook {
            let (name, key) = SECRET;
            spec["webhooks"] =
                json!([{"name": "receiver", "url": receiver, "secretRef": {"name": name, "key": key}}]);
        }
        json!({
            "apiVersion": "arxiv-operator.dev/v1alpha1", "kind": "ArxivFeed",
            "metadata": {"name": self.name}, "spec": spec,
        })
    }
}

/// The scheduled times of a run's ticks: minutes that have passed, so that no run waits for its time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticks {
    first: Timestamp,
}

impl Ticks {
    /// The most ticks of a run: all their minutes are within the last day.
    pub(super) const MOST: u32 = 1_200;

    pub(super) fn until(now: Timestamp) -> Self {
        let first = now - SignedDuration::from_mins(i64::from(Self::MOST) + 60);
        Self {
            first: Timestamp::from_second(first.as_second() / 60 * 60).unwrap_or(first),
        }
    }

    pub(super) fn time(self, tick: usize) -> Timestamp {
        self.first + SignedDuration::from_mins(i64::try_from(tick).unwrap_or(i64::MAX))
    }

    /// Before all of them.
    pub(super) fn before(self) -> Timestamp {
        self.first - SignedDuration::from_mins(1)
    }

    /// The tick of a scheduled time.
    pub(super) fn at(self, time: Timestamp) -> Option<usize> {
        usize::try_from(time.duration_since(self.first).as_mins())
            .ok()
            .filter(|_| time >= self.first)
    }
}

/// A schedule with one time a day.
fn daily_at(time: Timestamp) -> String {
    let at = time.to_zoned(TimeZone::UTC);
    format!("{} {} * * *", at.minute(), at.hour())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_minutes_of_the_last_day_in_their_order() {
        let now: Timestamp = "2026-03-02T06:17:42Z".parse().unwrap();
        let ticks = Ticks::until(now);
        assert_eq!(daily_at(ticks.time(0)), "17 9 * * *");
        assert_eq!(daily_at(ticks.time(61)), "18 10 * * *");
        assert!(ticks.time(Ticks::MOST as usize) < now);
        assert!(now.duration_since(ticks.before()) < SignedDuration::from_hours(24));
        for tick in [0, 1, 700] {
            assert_eq!(ticks.at(ticks.time(tick)), Some(tick));
        }
        assert_eq!(ticks.at(ticks.before()), None);
    }
}
