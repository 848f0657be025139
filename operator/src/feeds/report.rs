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

/// Why no run of a feed can start before its spec, or what the message names, is changed.
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
    /// Why the run that is due was not created.
    pub(super) stall: Option<&'a Stall>,
    pub(super) now: Timestamp,
}

impl Snapshot<'_> {
    /// The whole status.
    pub(super) fn status(&self) -> ArxivFeedStatus {
        let old = self.feed.status.clone().unwrap_or_default();
        let created = self.created_name();
        let active = created.or(self.runs.active().map(|run| run.name().to_owned()));
        // It is recorded before it has ended: what came of it is written with its end.
        let last = self.state.last_run.map(|run| run.outcome);
        let still_runs = active.is_some() && active == old.active && last != Some(Outcome::OtherSearch);
        let (is_ready, reason, message) = self.readiness(&old);
        let message = truncated_message(&message);
        let ready = condition(
            self.feed,
            FeedCondition::Ready,
            is_ready,
            reason,
            &message,
            self.now,
        );
        let reported = self.feed.condition(FeedCondition::Complete).cloned();
        let complete = reported.filter(|_| still_runs).unwrap_or_else(|| {
            let (complete, reason) = completeness(self.state);
            condition(self.feed, FeedCondition::Complete, complete, reason, "", self.now)
        });
        let mut conditions = vec![ready, complete];
        conditions.extend(
            self.stall
                .map(|stall| is_stalled(self.feed, stall.reason, &message, self.now)),
        );
        conditions.extend(delivered(self.feed, self.webhooks, self.now));
        let scheduled = self
            .created
            .or(self.runs.last().map(|run| run.key))
            .map(|key| key.scheduled);
        let succeeded = self.runs.last_succeeded().and_then(Run::ended);
        let is_suspended = self.feed.spec.suspend;
        let (last_complete_time, last_new_items, items) = if still_runs {
            (old.last_complete_time, old.last_new_items, old.items)
        } else {
            (
                later(old.last_complete_time, self.state.last_complete_run),
                self.state.last_run.map(|run| i64::from(run.new_items)),
                Some(self.state.items),
            )
        };
        ArxivFeedStatus {
            conditions,
            observed_generation: self.feed.metadata.generation,
            active,
            last_schedule_time: later(old.last_schedule_time, scheduled),
            last_successful_time: later(old.last_successful_time, succeeded),
            last_complete_time,
            next_schedule_time: self.plan.next.filter(|_| !is_suspended).map(Time),
            last_new_items,
            items,
            message: Some(message),
        }
    }

    fn created_name(&self) -> Option<String> {
        self.created.map(|key| key.name(&self.feed.name_any()))
    }

    /// Whether the feed does what its spec asks for, why, and one line for people.
    fn readiness(&self, old: &ArxivFeedStatus) -> (Truth, FeedReason, String) {
        if let Some(stall) = self.stall {
            return (Truth::False, stall.reason, stall.message.clone());
        }
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
        is_stalled(feed, stall.reason, &message, now),
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

fn is_stalled(feed: &ArxivFeed, reason: FeedReason, message: &str, now: Timestamp) -> Condition {
    condition(feed, FeedCondition::Stalled, Truth::True, reason, message, now)
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
mod tests;
