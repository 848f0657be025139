//! Events about feeds: what a status says that the one before it did not.

use crd::{ArxivFeed, FeedCondition, FeedReason, Phase};
use storage::feeds::{FeedState, Outcome};

use super::{reconcile::Context, runs::Runs};
use crate::controller::report::events::Kind;

/// Events about what the status that was just written says and the one before it did not.
pub(super) fn report_events(context: &Context, feed: &ArxivFeed, runs: &Runs, state: &FeedState) {
    let status = feed.status.as_ref();
    let was_active = status.and_then(|status| status.active.as_deref());
    let ended = runs.last_ended().filter(|run| Some(run.name()) == was_active);
    if let Some(run) = ended {
        let metrics = &context.with.metrics.feeds;
        let (kind, reason) = match run.object.phase() {
            Phase::Failed => (Kind::Warning, FeedReason::RunFailed),
            _ => (Kind::Normal, FeedReason::RunSucceeded),
        };
        match reason {
            FeedReason::RunFailed => metrics.run_failed(),
            _ => metrics.run_succeeded(state.last_run),
        }
        let new = state.last_run.map_or(0, |run| run.new_items);
        let note = match reason {
            FeedReason::RunFailed => format!("{} failed: {}", run.name(), run.message()),
            _ => format!("{} found {new} new", run.name()),
        };
        context
            .events
            .send_about(feed, kind, "Run", reason.as_str(), &note);
    }
    let changed = FeedReason::SearchChanged.as_str();
    let is_changed = state
        .last_run
        .is_some_and(|run| run.outcome == Outcome::OtherSearch);
    let was_changed = feed
        .condition(FeedCondition::Complete)
        .is_some_and(|complete| complete.reason == changed);
    if is_changed && !was_changed {
        let note = "the search has changed: everything that it finds is new";
        context
            .events
            .send_about(feed, Kind::Normal, "Update", changed, note);
    }
}
