//! What the users of a feed see in Kubernetes: its status with conditions.

use crd::{ArxivFeed, ArxivFeedStatus, FeedCondition, FeedReason};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt;
use storage::feeds::{FeedState, Outcome, WebhookState};

use super::{
    plan::Plan,
    runs::{Run, RunKey, Runs},
    webhooks::delivered,
};
use crate::controller::report::conditions::{keep_transition, new_condition, truncated_message};

/// Why no run of a feed can start before its spec is changed.
#[derive(Debug)]
pub(super) struct Stall {
    pub(super) reason: FeedReason,
    pub(super) message: String,
}

/// A feed at one time, as far as it is known.
pub(super) struct Snapshot<'a> {
    pub(super) feed: &'a ArxivFeed,
    pub(super) runs: &'a Runs,
    pub(super) state: &'a FeedState,
    pub(super) webhooks: &'a [WebhookState],
    pub(super) plan: Plan,
    /// The run that was just created.
    pub(super) created: Option<RunKey>,
    pub(super) now: Timestamp,
}

impl Snapshot<'_> {
    /// The whole status.
    pub(super) fn status(&self) -> ArxivFeedStatus {
        let old = self.feed.status.clone().unwrap_or_default();
        let (is_ready, reason, message) = self.readiness(&old);
        let message = truncated_message(&message);
        let (complete, complete_reason) = completeness(self.state);
        let mut conditions = vec![
            condition(
                self.feed,
                FeedCondition::Ready,
                is_ready,
                reason,
                &message,
                self.now,
            ),
            condition(
                self.feed,
                FeedCondition::Complete,
                complete,
                complete_reason,
                "",
                self.now,
            ),
        ];
        conditions.extend(delivered(self.feed, self.webhooks, self.now));
        let created = self.created_name();
        let active = created.or(self.runs.active().map(|run| run.name().to_owned()));
        let scheduled = self
            .created
            .or(self.runs.last().map(|run| run.key))
            .map(|key| key.scheduled);
        let succeeded = self.runs.last_succeeded().and_then(Run::ended);
        let is_suspended = self.feed.spec.suspend;
        ArxivFeedStatus {
            conditions,
            observed_generation: self.feed.metadata.generation,
            active,
            last_schedule_time: later(old.last_schedule_time, scheduled),
            last_successful_time: later(old.last_successful_time, succeeded),
            last_complete_time: later(old.last_complete_time, self.state.last_complete_run),
            next_schedule_time: self.plan.next.filter(|_| !is_suspended).map(Time),
            last_new_items: self.state.last_run.map(|run| i64::from(run.new_items)),
            items: Some(self.state.items),
            message: Some(message),
        }
    }

    fn created_name(&self) -> Option<String> {
        self.created.map(|key| key.name(&self.feed.name_any()))
    }

    /// Whether the feed does what its spec asks for, why, and one line for people.
    fn readiness(&self, old: &ArxivFeedStatus) -> (Truth, FeedReason, String) {
        // One that succeeded since may be gone already, by the limit of the history.
        let reported_success = old.last_successful_time.as_ref().map(|time| time.0);
        let failed = self.runs.last_ended().filter(|run| {
            run.object.phase() == crd::Phase::Failed
                && (run.ended().is_none() || run.ended() >= reported_success)
        });
        if let Some(run) = failed {
            let message = format!(
                "{} failed: {}; the next run covers its time",
                run.name(),
                run.message()
            );
            return (Truth::False, FeedReason::RunFailed, message);
        }
        // The limit of the history may have removed it. It counts until a run succeeds.
        let old_ready = self.feed.condition(FeedCondition::Ready);
        let has_failed = old_ready.filter(|ready| ready.reason == FeedReason::RunFailed.as_str());
        let succeeded = self.runs.last_succeeded().and_then(Run::ended);
        if let Some(ready) = has_failed
            && succeeded <= reported_success
        {
            return (Truth::False, FeedReason::RunFailed, ready.message.clone());
        }
        if self.feed.spec.suspend {
            let message = "suspended; runs start again when spec.suspend is false";
            return (Truth::True, FeedReason::Suspended, message.to_owned());
        }
        let message = if let Some(name) = self.created_name() {
            format!("{name} runs")
        } else if let Some(run) = self.runs.active() {
            format!("{} runs", run.name())
        } else if let Some(missed) = self.plan.missed {
            format!("the run of {missed} could not start in time; the next one covers its time")
        } else if let Some(last) = self.state.last_run {
            match last.outcome {
                Outcome::Complete => format!("the last run found {} new", last.new_items),
                Outcome::Incomplete => format!(
                    "the last run found {} new, and the next one goes on",
                    last.new_items
                ),
                Outcome::OtherSearch => "the search has changed: everything that it finds is new".to_owned(),
            }
        } else if old.last_schedule_time.is_some() {
            "waits for the next run".to_owned()
        } else {
            "waits for its first run".to_owned()
        };
        (Truth::True, FeedReason::Scheduled, message)
    }
}

/// The status of a feed of which no run can start before its spec is changed.
pub(super) fn stalled(feed: &ArxivFeed, stall: &Stall, now: Timestamp) -> ArxivFeedStatus {
    let message = truncated_message(&stall.message);
    let mut conditions = vec![
        condition(
            feed,
            FeedCondition::Ready,
            Truth::False,
            stall.reason,
            &message,
            now,
        ),
        condition(
            feed,
            FeedCondition::Stalled,
            Truth::True,
            stall.reason,
            &message,
            now,
        ),
    ];
    conditions.extend(kept_conditions(feed));
    ArxivFeedStatus {
        conditions,
        observed_generation: feed.metadata.generation,
        next_schedule_time: None,
        message: Some(message),
        ..feed.status.clone().unwrap_or_default()
    }
}

/// The status of a feed while a database is unavailable: everything else stays as it was.
pub(super) fn database_unavailable(feed: &ArxivFeed, now: Timestamp) -> ArxivFeedStatus {
    let message = "a database does not answer; retried until it does";
    let reason = FeedReason::DatabaseUnavailable;
    let mut conditions = vec![condition(
        feed,
        FeedCondition::Ready,
        Truth::False,
        reason,
        message,
        now,
    )];
    conditions.extend(kept_conditions(feed));
    ArxivFeedStatus {
        conditions,
        message: Some(message.to_owned()),
        ..feed.status.clone().unwrap_or_default()
    }
}

/// The conditions that are about what was, whatever is wrong now.
fn kept_conditions(feed: &ArxivFeed) -> impl Iterator<Item = Condition> {
    let kept = [FeedCondition::Complete, FeedCondition::Delivered];
    kept.into_iter()
        .filter_map(|type_| feed.condition(type_).cloned())
}

/// The status of a condition.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Truth {
    True,
    False,
    Unknown,
}

impl Truth {
    fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

fn completeness(state: &FeedState) -> (Truth, FeedReason) {
    match state.last_run.map(|run| run.outcome) {
        None => (Truth::Unknown, FeedReason::NoRunYet),
        Some(Outcome::Complete) => (Truth::True, FeedReason::AllRead),
        Some(Outcome::Incomplete) => (Truth::False, FeedReason::MoreToRead),
        Some(Outcome::OtherSearch) => (Truth::False, FeedReason::SearchChanged),
    }
}

/// A condition of this feed.
pub(super) fn condition(
    feed: &ArxivFeed,
    type_: FeedCondition,
    truth: Truth,
    reason: FeedReason,
    message: &str,
    now: Timestamp,
) -> Condition {
    let new = new_condition(type_.as_str(), truth.as_str(), reason.as_str(), message, now);
    keep_transition(new, feed.condition(type_))
}

fn later(old: Option<Time>, new: Option<Timestamp>) -> Option<Time> {
    old.map(|old| old.0).max(new).map(Time)
}

#[cfg(test)]
mod tests {
    use crd::ArxivFeedSpec;
    use storage::feeds::{InitialItems, LastRun, Progress};

    use super::*;

    fn time(text: &str) -> Timestamp {
        format!("2026-03-02T{text}Z").parse().unwrap()
    }

    fn state(last: Option<(Outcome, i32)>) -> FeedState {
        FeedState {
            id: uuid::Uuid::nil(),
            search: String::new(),
            seen_set: 1,
            items: 7,
            progress: Progress::default(),
            initial_items: InitialItems::Include,
            last_run: last.map(|(outcome, new_items)| LastRun {
                recorded_at: time("06:18:00"),
                outcome,
                new_items,
            }),
            last_complete_run: None,
        }
    }

    #[test]
    fn status_says_what_the_feed_does_and_how_complete_it_is() {
        let plan = Plan {
            due: None,
            missed: None,
            next: Some(time("07:17:00")),
        };
        let missed = Plan {
            missed: Some(time("06:17:00")),
            ..plan
        };
        let complete = Some((Outcome::Complete, 2));
        // Suspended, plan, created, last run; Ready's reason, Complete's status and reason, message.
        #[rustfmt::skip]
        let cases = [
            (false, plan, false, None, "Scheduled", "Unknown NoRunYet", "waits for its first run"),
            (true, plan, false, None, "Suspended", "Unknown NoRunYet", "suspended; runs start again"),
            (false, plan, true, None, "Scheduled", "Unknown NoRunYet", "feed-29540537 runs"),
            (false, plan, false, complete, "Scheduled", "True AllRead", "the last run found 2 new"),
            (false, missed, false, complete, "Scheduled", "True AllRead", "could not start in time"),
            (false, plan, false, Some((Outcome::Incomplete, 2)), "Scheduled", "False MoreToRead", "the next one goes on"),
            (false, plan, false, Some((Outcome::OtherSearch, 2)), "Scheduled", "False SearchChanged", "everything"),
        ];
        for (suspend, plan, is_created, last, reason, complete, message) in cases {
            let spec = ArxivFeedSpec {
                suspend,
                ..ArxivFeedSpec::default()
            };
            let (mut feed, state) = (ArxivFeed::new("feed", spec), state(last));
            feed.metadata.generation = Some(3);
            let snapshot = Snapshot {
                feed: &feed,
                runs: &Runs::default(),
                state: &state,
                webhooks: &[],
                plan,
                created: is_created.then(|| RunKey::first(time("06:17:00"))),
                now: time("06:20:00"),
            };
            let status = snapshot.status();
            let [ready, completeness] = &status.conditions[..] else {
                panic!("{:?}", status.conditions)
            };
            assert_eq!(
                (ready.status.as_str(), ready.reason.as_str()),
                ("True", reason),
                "{message}"
            );
            assert_eq!(
                format!("{} {}", completeness.status, completeness.reason),
                complete,
                "{message}"
            );
            assert!(
                status.message.as_ref().unwrap().contains(message),
                "{:?}",
                status.message
            );
            assert_eq!(status.active.as_deref(), is_created.then_some("feed-29540537"));
            assert_eq!(status.next_schedule_time.is_some(), !suspend, "{message}");
            assert_eq!((status.items, status.observed_generation), (Some(7), Some(3)));
            let mut reported = feed.clone();
            reported.status = Some(status.clone());
            let again = Snapshot {
                feed: &reported,
                now: time("06:21:00"),
                ..snapshot
            };
            assert_eq!(again.status(), status, "nothing new, so nothing is written");
        }
    }
}
