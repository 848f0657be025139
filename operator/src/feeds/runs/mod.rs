//! The runs of a feed: `ArxivQuery` objects with its label that it owns.

#[cfg(test)]
mod fixtures;
mod key;
mod object;

use std::{cmp::Reverse, sync::Arc};

use cluster::delete_exact;
use crd::{ArxivFeed, ArxivQuery, FEED_LABEL, Phase};
use futures::FutureExt;
use jiff::Timestamp;
use kube::{
    Api, ResourceExt,
    api::{ListParams, PostParams, Preconditions},
    runtime::reflector::Store,
};
use storage::feeds::{LastRun, NextRun, Outcome};

use self::object::looks_at;
pub(super) use self::{
    key::RunKey,
    object::{from, object, search},
};
use crate::process::kubernetes::{CALL_TIMEOUT, CallError, within};

/// Objects in one page of the listing, 2 to 3 kB each.
const PAGE: u32 = 100;

/// A run.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) key: RunKey,
    pub(super) object: Arc<ArxivQuery>,
}

/// The runs of a feed, the last one first.
#[derive(Debug, Default)]
pub(super) struct Runs(Vec<Run>);

/// What came of the creation of a run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Created {
    /// It is new.
    New,
    /// It was there already: an earlier attempt has created it.
    Before,
    /// Another object has its name.
    NameTaken,
    /// Kubernetes refuses it, in these words: by a quota, a policy or a webhook.
    Refused(String),
}

impl Run {
    fn phase(&self) -> Phase {
        self.object.phase()
    }

    /// One line about how it ended, or what it waits for.
    pub(super) fn message(&self) -> &str {
        let status = self.object.status.as_ref();
        status
            .and_then(|status| status.message.as_deref())
            .unwrap_or_default()
    }

    /// When it ended.
    pub(super) fn ended(&self) -> Option<Timestamp> {
        let status = self.object.status.as_ref()?;
        status.completion_time.as_ref().map(|time| time.0)
    }

    pub(super) fn name(&self) -> &str {
        self.object.metadata.name.as_deref().unwrap_or_default()
    }
}

impl Runs {
    /// The runs of a feed, as the watch has them. None where it is known to be behind: it has not brought all of them yet, or not the
    /// one that the status names.
    pub(super) fn seen(watched: &Store<ArxivQuery>, feed: &ArxivFeed) -> Option<Self> {
        watched.wait_until_ready().now_or_never()?.ok()?;
        let runs = Self::of(feed, watched.state_filter(|object| is_of(feed, object)));
        let status = feed.status.as_ref();
        let active = status.and_then(|status| status.active.as_deref());
        let has_active = active.is_none_or(|name| runs.0.iter().any(|run| run.name() == name));
        has_active.then_some(runs)
    }

    /// Reads the runs of a feed as they are now: a watch may be behind.
    pub(super) async fn list(queries: &Api<ArxivQuery>, feed: &ArxivFeed) -> Result<Self, CallError> {
        let mut page = ListParams::default()
            .labels(&format!("{FEED_LABEL}={}", feed.name_any()))
            .limit(PAGE);
        let mut runs = Vec::new();
        loop {
            let listed = within(queries.list(&page)).await?;
            let own = listed.items.into_iter().filter(|object| is_of(feed, object));
            runs.extend(own.map(Arc::new));
            match listed.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page = page.continue_token(&token),
                None => break,
            }
        }
        Ok(Self::of(feed, runs))
    }

    fn of(feed: &ArxivFeed, objects: Vec<Arc<ArxivQuery>>) -> Self {
        let name = feed.name_any();
        let runs = objects.into_iter().filter_map(|object| {
            let key = RunKey::of_name(&name, object.metadata.name.as_deref()?)?;
            Some(Run { key, object })
        });
        let mut runs: Vec<_> = runs.collect();
        runs.sort_by_key(|run| Reverse(run.key));
        Self(runs)
    }

    /// The last one.
    pub(super) fn last(&self) -> Option<&Run> {
        self.0.first()
    }

    /// The one that has not ended. One whose deletion has begun counts too, until it is gone.
    pub(super) fn active(&self) -> Option<&Run> {
        self.0.iter().find(|run| !run.phase().is_final())
    }

    /// The last one that has ended.
    pub(super) fn last_ended(&self) -> Option<&Run> {
        self.0.iter().find(|run| run.phase().is_final())
    }

    /// The last one that has succeeded.
    pub(super) fn last_succeeded(&self) -> Option<&Run> {
        self.0.iter().find(|run| run.phase() == Phase::Succeeded)
    }

    /// The run that starts at once as the last one has succeeded and left something: only if it would look at something else than
    /// the last one did.
    pub(super) fn going_on(&self, last: Option<LastRun>, next: &NextRun) -> Option<RunKey> {
        let run = self.last()?;
        let has_left = last.is_some_and(|last| last.outcome == Outcome::Incomplete);
        (run.phase() == Phase::Succeeded && has_left && !looks_at(&run.object, next))
            .then(|| run.key.next_part())
            .flatten()
    }

    /// Those that have ended and are more than the limits of the feed's history allow.
    fn surplus(&self, feed: &ArxivFeed) -> impl Iterator<Item = &Run> {
        let limits = [
            (Phase::Succeeded, feed.spec.successful_queries_history_limit),
            (Phase::Failed, feed.spec.failed_queries_history_limit),
        ];
        limits.into_iter().flat_map(|(phase, limit)| {
            let kept = usize::try_from(limit).unwrap_or(0);
            self.0.iter().filter(move |run| run.phase() == phase).skip(kept)
        })
    }

    /// Deletes what the limits of the history do not allow. The rows stay.
    pub(super) async fn delete_surplus(
        &self,
        queries: &Api<ArxivQuery>,
        feed: &ArxivFeed,
    ) -> Result<(), CallError> {
        for run in self.surplus(feed) {
            let preconditions = Preconditions {
                uid: run.object.metadata.uid.clone(),
                resource_version: run.object.metadata.resource_version.clone(),
            };
            delete_exact(queries, run.name(), preconditions, CALL_TIMEOUT).await?;
        }
        Ok(())
    }
}

/// Whether the object is a run of this feed, not of an earlier one of the same name.
fn is_of(feed: &ArxivFeed, object: &ArxivQuery) -> bool {
    let owners = object.metadata.owner_references.iter().flatten();
    let mut controllers = owners.filter(|owner| owner.controller == Some(true));
    controllers.any(|owner| Some(&owner.uid) == feed.metadata.uid.as_ref())
}

/// Creates a run.
pub(super) async fn create(
    queries: &Api<ArxivQuery>,
    feed: &ArxivFeed,
    run: &ArxivQuery,
) -> Result<Created, CallError> {
    match within(queries.create(&PostParams::default(), run)).await {
        Ok(_) => Ok(Created::New),
        Err(error) if error.code() == Some(409) => {
            let found = within(queries.get_opt(&run.name_any())).await?;
            match found {
                Some(found) if is_of(feed, &found) => Ok(Created::Before),
                Some(_) => Ok(Created::NameTaken),
                // It was deleted since, or the conflict is one of a quota's.
                None => Err(error),
            }
        }
        Err(error) => match refusal(&error) {
            Some(words) => Ok(Created::Refused(words)),
            None => Err(error),
        },
    }
}

/// Kubernetes' words, if it has refused a call or could not ask a webhook about it.
fn refusal(error: &CallError) -> Option<String> {
    let CallError::Call(kube::Error::Api(status)) = error else {
        return None;
    };
    (error.is_refused() || status.code == 500).then(|| status.message.clone())
}

#[cfg(test)]
mod tests {
    use crd::ArxivQueryStatus;

    use super::{
        fixtures::{feed, first, time},
        key::MAX_PARTS,
        *,
    };

    #[test]
    fn oldest_runs_of_each_kind_are_surplus_and_active_ones_never() {
        let mut feed = feed();
        feed.spec.successful_queries_history_limit = 1;
        feed.spec.failed_queries_history_limit = 0;
        let phases = [
            Phase::Running,
            Phase::Succeeded,
            Phase::Failed,
            Phase::Succeeded,
            Phase::Succeeded,
        ];
        let runs = phases.iter().rev().zip(1..).map(|(phase, minute)| {
            let key = RunKey::first(Timestamp::from_second(minute * 60).unwrap());
            let mut object = object(&feed, key, &first());
            object.status = Some(ArxivQueryStatus {
                phase: *phase,
                ..ArxivQueryStatus::default()
            });
            Run {
                key,
                object: Arc::new(object),
            }
        });
        let mut runs: Vec<_> = runs.collect();
        runs.reverse();
        let runs = Runs(runs);
        let surplus: Vec<_> = runs.surplus(&feed).map(Run::name).collect();
        assert_eq!(surplus, ["knuth-2", "knuth-1", "knuth-3"]);
        assert_eq!(runs.active().map(Run::name), Some("knuth-5"));
        assert_eq!(runs.last_ended().map(Run::name), Some("knuth-4"));
    }

    #[test]
    fn run_that_left_something_is_followed_at_once_unless_the_next_one_would_look_at_the_same() {
        let next = NextRun {
            start: 1_950,
            ..first()
        };
        let last = |outcome| {
            Some(LastRun {
                recorded_at: time("2026-03-02T06:18:00Z"),
                outcome,
                new_items: 1,
            })
        };
        let key = RunKey::first(time("2026-03-02T06:17:00Z"));
        let last_part = RunKey {
            part: MAX_PARTS,
            ..key
        };
        #[rustfmt::skip]
        let cases = [
            ("left something", key, Phase::Succeeded, Some(Outcome::Incomplete), next, Some("knuth-29540537b")),
            ("first of all", key, Phase::Succeeded, None, next, None),
            ("complete", key, Phase::Succeeded, Some(Outcome::Complete), next, None),
            ("of another search", key, Phase::Succeeded, Some(Outcome::OtherSearch), next, None),
            ("failed", key, Phase::Failed, Some(Outcome::Incomplete), next, None),
            ("active", key, Phase::Running, Some(Outcome::Incomplete), next, None),
            ("no further", key, Phase::Succeeded, Some(Outcome::Incomplete), first(), None),
            ("the last one", last_part, Phase::Succeeded, Some(Outcome::Incomplete), next, None),
        ];
        for (name, key, phase, outcome, next, expected) in cases {
            let mut object = object(&feed(), key, &first());
            object.status = Some(ArxivQueryStatus {
                phase,
                ..ArxivQueryStatus::default()
            });
            let object = Arc::new(object);
            let runs = Runs(vec![Run { key, object }]);
            let going_on = runs.going_on(outcome.and_then(last), &next);
            assert_eq!(
                going_on.map(|key| key.name("knuth")).as_deref(),
                expected,
                "{name}"
            );
        }
    }
}
