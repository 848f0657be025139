//! The feeds that this process runs, in numbers; and which of them have not been complete for two of their times.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crd::{ArxivFeed, FeedCondition, FeedReason};
use jiff::{SignedDuration, Timestamp};
use kube::{Resource, ResourceExt, runtime::reflector::Store};
use schedule::Schedule;
use tokio::time::{MissedTickBehavior, interval};

use super::reconcile::{Context, delays};
use crate::{controller::report::events::Kind, process::metrics::feeds::FeedStats};

/// How often they are counted.
const INTERVAL: Duration = Duration::from_secs(5);
/// So long a feed has to be overdue before it is named: at its second time, a run starts that may end it.
const NAMED_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// What the watches know of feeds.
#[derive(Default)]
pub(super) struct Overview {
    /// By the namespace that is watched; empty for all.
    stores: Mutex<BTreeMap<String, Store<ArxivFeed>>>,
}

impl Overview {
    /// A watch of this namespace, or of all, has begun.
    pub(super) fn follow(&self, namespace: Option<&str>, store: Store<ArxivFeed>) {
        self.stores()
            .insert(namespace.unwrap_or_default().to_owned(), store);
    }

    fn feeds(&self) -> Vec<Arc<ArxivFeed>> {
        self.stores().values().flat_map(Store::state).collect()
    }

    fn stores(&self) -> MutexGuard<'_, BTreeMap<String, Store<ArxivFeed>>> {
        self.stores.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts the feeds again and again, and names those that are overdue.
pub(super) async fn run(context: &Context) {
    let mut census = Census::default();
    let mut due = interval(INTERVAL);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let claims = &context.with.claims;
        let mut feeds = context.overview.feeds();
        feeds.retain(|feed| !claims.is_anothers(&feed.namespace().unwrap_or_default()));
        let (counts, named) = census.take(&feeds, Timestamp::now());
        context.with.metrics.feeds.count(&counts);
        for feed in named {
            let since = last_complete(feed).unwrap_or(Timestamp::MIN);
            let note =
                format!("two of its times have passed since it was last complete or created, at {since}");
            let reason = FeedReason::Overdue.as_str();
            context
                .events
                .send_about(feed, Kind::Warning, "Run", reason, &note);
            let (object, namespace) = (feed.name_any(), feed.namespace());
            tracing::warn!(object, namespace, "feed: {note}");
        }
    }
}

/// What is remembered of the feeds that were counted last.
#[derive(Debug, Default)]
struct Census(HashMap<String, Known>);

/// What is known of a feed by one spec and one status.
#[derive(Clone, Copy, Debug)]
struct Known {
    generation: Option<i64>,
    last_complete: Timestamp,
    /// None where no time comes.
    overdue_at: Option<Timestamp>,
    is_named: bool,
}

impl Census {
    /// The numbers at `now`, and the feeds that have been overdue for long and were not named yet.
    fn take<'a>(&mut self, feeds: &'a [Arc<ArxivFeed>], now: Timestamp) -> (FeedStats, Vec<&'a ArxivFeed>) {
        let mut former = std::mem::take(&mut self.0);
        let (mut counts, mut named) = (FeedStats::default(), Vec::new());
        for feed in feeds.iter().filter(|feed| !feed.is_being_deleted()) {
            let state = state(feed);
            counts.states[state as usize] += 1;
            let is_incomplete = feed.condition(FeedCondition::Complete);
            counts.incomplete +=
                usize::from(is_incomplete.is_some_and(|complete| complete.status == "False"));
            let (Some(uid), Some(last_complete)) = (feed.meta().uid.clone(), last_complete(feed)) else {
                continue;
            };
            if matches!(state, State::Suspended | State::Stalled) {
                continue;
            }
            let known = former.remove(&uid).filter(|known| {
                known.generation == feed.metadata.generation && known.last_complete == last_complete
            });
            let mut known = known.unwrap_or_else(|| Known {
                generation: feed.metadata.generation,
                last_complete,
                overdue_at: overdue_at(feed, last_complete),
                is_named: false,
            });
            let age: Duration = now.duration_since(last_complete).try_into().unwrap_or_default();
            counts.longest = counts.longest.max(age);
            if let Some(overdue) = known.overdue_at.map(|at| now.duration_since(at))
                && overdue >= SignedDuration::ZERO
            {
                counts.overdue += 1;
                if overdue >= NAMED_AFTER && !known.is_named {
                    known.is_named = true;
                    named.push(&**feed);
                }
            }
            self.0.insert(uid, known);
        }
        (counts, named)
    }
}

/// In the order of [`FeedStats::states`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Scheduled,
    Suspended,
    Failed,
    Stalled,
    New,
}

fn state(feed: &ArxivFeed) -> State {
    let is = |condition, status| {
        feed.condition(condition)
            .is_some_and(|found| found.status == status)
    };
    if feed.spec.suspend {
        State::Suspended
    } else if is(FeedCondition::Stalled, "True") && !is_blocked(feed) {
        State::Stalled
    } else if is(FeedCondition::Ready, "False") {
        State::Failed
    } else if is(FeedCondition::Ready, "True") {
        State::Scheduled
    } else {
        State::New
    }
}

/// Whether its spec is right, and something else lets no run start.
fn is_blocked(feed: &ArxivFeed) -> bool {
    let reasons = [FeedReason::RunRefused, FeedReason::NameTaken];
    feed.condition(FeedCondition::Stalled)
        .is_some_and(|stalled| reasons.iter().any(|reason| stalled.reason == reason.as_str()))
}

/// When the feed was last complete, or was created.
fn last_complete(feed: &ArxivFeed) -> Option<Timestamp> {
    let status = feed.status.as_ref();
    let complete = status.and_then(|status| status.last_complete_time.as_ref());
    let time = complete.or(feed.metadata.creation_timestamp.as_ref());
    time.map(|time| time.0)
}

/// When the second scheduled time since then has come, with the feed's delay.
fn overdue_at(feed: &ArxivFeed, since: Timestamp) -> Option<Timestamp> {
    let schedule = Schedule::new(&feed.spec.schedule, &feed.spec.time_zone).ok()?;
    let second = schedule.next_after(schedule.next_after(since)?)?;
    second.checked_add(delays(feed).jitter).ok()
}

#[cfg(test)]
mod tests {
    use crd::{ArxivFeedSpec, ArxivFeedStatus};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

    use super::*;

    fn time(text: &str) -> Timestamp {
        format!("2026-03-{text}:00Z").parse().unwrap()
    }

    /// A feed of 6:17 each day, created on the first of March.
    fn feed(name: &str, conditions: &[(FeedCondition, &str)], last_complete: Option<&str>) -> ArxivFeed {
        let spec = ArxivFeedSpec {
            schedule: "17 6 * * *".to_owned(),
            ..ArxivFeedSpec::default()
        };
        let mut feed = ArxivFeed::new(name, spec);
        feed.metadata.uid = Some(name.to_owned());
        feed.metadata.creation_timestamp = Some(Time(time("01T12:00")));
        let conditions = conditions.iter().map(|(type_, status)| Condition {
            type_: type_.as_str().to_owned(),
            status: (*status).to_owned(),
            last_transition_time: Time(time("01T12:00")),
            message: String::new(),
            observed_generation: None,
            reason: "Test".to_owned(),
        });
        feed.status = Some(ArxivFeedStatus {
            conditions: conditions.collect(),
            last_complete_time: last_complete.map(|text| Time(time(text))),
            ..ArxivFeedStatus::default()
        });
        feed
    }

    const READY: &[(FeedCondition, &str)] =
        &[(FeedCondition::Ready, "True"), (FeedCondition::Complete, "True")];

    #[test]
    fn feeds_are_counted_in_one_state_each() {
        use FeedCondition::{Complete, Ready, Stalled};
        let mut suspended = feed("suspended", &[(Ready, "False"), (Complete, "False")], None);
        suspended.spec.suspend = true;
        let mut refused = feed(
            "refused",
            &[(Ready, "False"), (Stalled, "True")],
            Some("03T06:18"),
        );
        for condition in &mut refused.status.as_mut().unwrap().conditions {
            condition.reason = FeedReason::RunRefused.as_str().to_owned();
        }
        let mut deleted = feed("deleted", READY, None);
        deleted.metadata.deletion_timestamp = Some(Time(time("01T13:00")));
        let feeds = [
            feed("scheduled", READY, Some("03T06:18")),
            feed("cut", &[(Ready, "True"), (Complete, "False")], Some("03T06:18")),
            feed(
                "failed",
                &[(Ready, "False"), (Complete, "True")],
                Some("02T06:18"),
            ),
            feed("stalled", &[(Ready, "False"), (Stalled, "True")], None),
            refused,
            feed("new", &[], None),
            suspended,
            deleted,
        ];
        let feeds: Vec<_> = feeds.into_iter().map(Arc::new).collect();
        let (counts, named) = Census::default().take(&feeds, time("03T07:00"));
        let expected = FeedStats {
            states: [2, 1, 2, 1, 1],
            incomplete: 2,
            // The new one: since the first of March there were two times.
            overdue: 1,
            longest: Duration::from_hours(43),
        };
        assert_eq!(counts, expected);
        let listed: Vec<_> = named.iter().map(|feed| feed.name_any()).collect();
        assert_eq!(listed, ["new"]);
    }

    #[test]
    fn feed_is_overdue_from_its_second_time_and_named_once_ten_minutes_later() {
        let mut census = Census::default();
        let failing = |last_complete| {
            let mut feed = feed("failing", READY, last_complete);
            feed.spec.jitter_seconds = 0;
            [Arc::new(feed)]
        };
        for (now, last_complete, overdue, is_named) in [
            // Created on the first at noon.
            ("02T06:18", None, 0, false),
            ("03T06:16", None, 0, false),
            ("03T06:17", None, 1, false),
            ("03T06:26", None, 1, false),
            ("03T06:27", None, 1, true),
            ("03T06:28", None, 1, false),
            // Complete: the next two are of the fourth and the fifth.
            ("03T06:29", Some("03T06:28"), 0, false),
            ("05T06:16", Some("03T06:28"), 0, false),
            ("05T06:30", Some("03T06:28"), 1, true),
            ("05T06:40", Some("03T06:28"), 1, false),
        ] {
            let feeds = failing(last_complete);
            let (counts, named) = census.take(&feeds, time(now));
            assert_eq!((counts.overdue, named.len() == 1), (overdue, is_named), "{now}");
        }
        census.take(&[], time("05T07:00"));
        assert!(census.0.is_empty(), "nothing is kept of feeds that are gone");
    }
}
