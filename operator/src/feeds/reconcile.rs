//! One reconciliation of a feed.

use std::{sync::Arc, time::Duration};

use crd::{ArxivFeed, ArxivQuery, FeedCondition, FeedReason, InitialItems, Revisions};
use jiff::{SignedDuration, Timestamp};
use kube::{
    Api, ResourceExt,
    runtime::{controller::Action, reflector::Store},
};
use storage::{
    StorageError,
    feeds::{FeedSpec, FeedState, NextRun, Timing},
};
use upstream::feed_search_hash;
use uuid::Uuid;

use super::{
    events::report_events,
    failures::Failures,
    overview::Overview,
    plan::{Delays, Plan, plan},
    report::{Snapshot, Stall, database_unavailable, stalled},
    runs::{self, Created, RunKey, Runs},
    validate::{Valid, validate},
    webhooks,
};
use crate::{
    controller::{
        error::Error,
        report::events::{Events, Kind},
    },
    process::{dependencies::Dependencies, statuses},
};

/// When the feeds that another installation runs are looked at again.
const CLAIM_RETRY: Duration = Duration::from_secs(30);
/// A feed whose object has changed is reconciled again when the watch reports the change, and after this time in any case.
const CHANGED_RETRY: Duration = Duration::from_secs(5);
/// A feed is looked at this often even if nothing happens: a clock may have been set.
const LONGEST_WAIT: Duration = Duration::from_hours(1);
/// So many reconciliations fail because of a database before the status says so: one that restarts is back soon.
const FAILURES_REPORTED: u32 = 4;
const DAY: Duration = Duration::from_hours(24);

/// What reconciliations share.
pub(super) struct Context {
    pub(super) with: Arc<Dependencies>,
    pub(super) events: Events,
    pub(super) failures: Failures,
    pub(super) overview: Overview,
}

/// What reconciliations of the feeds of one watch share.
pub(super) struct Followed {
    pub(super) context: Arc<Context>,
    /// The runs of the feeds, as the watch has them.
    pub(super) runs: Store<ArxivQuery>,
}

/// Brings a feed one step further: reads its runs and its state, creates the run that is due, writes the status, and
/// deletes what the limits of its history do not allow. Each step may be repeated after any crash, and by two operators at
/// once.
pub(super) async fn reconcile(feed: &ArxivFeed, followed: &Followed) -> Result<Action, Error> {
    let Followed { context, runs } = followed;
    let outcome = reconcile_feed(feed, context, runs).await;
    let metrics = &context.with.metrics;
    let key = feed.metadata.uid.clone().unwrap_or_default();
    match &outcome {
        Ok(_) => {
            context.failures.clear(&key);
            metrics.reconciled("ok");
        }
        Err(error) => {
            metrics.reconciled("error");
            metrics.failed(error.category());
            let failures = context.failures.add(&key);
            if error.is_database_unavailable() && failures >= FAILURES_REPORTED {
                let status = database_unavailable(feed, Timestamp::now());
                // If this write fails as well, the next reconciliation tries again.
                let _ = write_status(context, feed, &status).await;
            }
        }
    }
    outcome
}

async fn reconcile_feed(
    feed: &ArxivFeed,
    context: &Context,
    watched: &Store<ArxivQuery>,
) -> Result<Action, Error> {
    let namespace = feed.namespace().unwrap_or_default();
    if feed.is_being_deleted() {
        return Ok(Action::await_change());
    }
    if !context.with.claims.holds(&namespace).await? {
        return Ok(Action::requeue(CLAIM_RETRY));
    }
    let valid = match validate(feed) {
        Ok(valid) => valid,
        Err(stall) => {
            let status = stalled(feed, &stall, Timestamp::now());
            let is_new = !is_reported(feed, &stall);
            if is_new && let Some(uid) = uid(feed) {
                let unscheduled = context.with.records.feeds().unschedule(uid).await;
                unscheduled.map_err(Error::storage("noting that no run is planned"))?;
            }
            let is_written = write_status(context, feed, &status).await?;
            if is_new && is_written {
                send_stall(context, feed, "Validate", &stall);
            }
            return Ok(after_write(is_written, LONGEST_WAIT));
        }
    };
    let queries = Api::<ArxivQuery>::namespaced(context.with.client.clone(), &namespace);
    let seen = Runs::seen(watched, feed);
    let is_as_seen = seen.is_some();
    let mut runs = match seen {
        Some(runs) => runs,
        None => Runs::list(&queries, feed).await?,
    };
    let now = Timestamp::now();
    let plan_of = |runs: &Runs| plan(&valid.schedule, since(feed, runs), now, delays(feed));
    let mut plan = plan_of(&runs);
    let Some(state) = state(context, feed, &valid, &plan).await? else {
        // An object of this uid was gone before.
        return Ok(Action::requeue(LONGEST_WAIT));
    };
    let webhooks = webhooks::register(context, feed, &state).await?;
    let next = next_run(feed, &valid, &state, now);
    let due = |plan: &Plan, runs: &Runs| {
        let due = plan.due.map(RunKey::first);
        let due = due.or_else(|| runs.going_on(state.last_run, &next));
        due.filter(|_| runs.active().is_none() && !feed.spec.suspend)
    };
    let mut created = due(&plan, &runs);
    if created.is_some() && is_as_seen {
        runs = Runs::list(&queries, feed).await?;
        plan = plan_of(&runs);
        created = due(&plan, &runs);
    }
    let mut stall = None;
    if let Some(run) = created {
        // The watch may be behind: nothing is started by a spec or a status of before.
        if !statuses::is_unchanged(&feeds(context, feed), &feed.metadata).await? {
            return Ok(Action::requeue(CHANGED_RETRY));
        }
        // What is registered now is safe from a fail-over.
        let Some(state) = register(context, feed, &valid, &plan).await? else {
            return Ok(Action::requeue(LONGEST_WAIT));
        };
        let next = next_run(feed, &valid, &state, now);
        stall = create(context, feed, &queries, (run, &next), now).await?;
        created = created.filter(|_| stall.is_none());
    }
    let snapshot = Snapshot {
        feed,
        runs: &runs,
        state: &state,
        webhooks: &webhooks,
        plan,
        created,
        stall: stall.as_ref(),
        now,
    };
    if !write_status(context, feed, &snapshot.status()).await? {
        return Ok(Action::requeue(CHANGED_RETRY));
    }
    report_events(context, feed, &runs, &state);
    // Only now: the status has the times of the runs that are deleted.
    runs.delete_surplus(&queries, feed).await?;
    if let Some(stall) = stall {
        if !is_reported(feed, &stall) {
            send_stall(context, feed, "Create", &stall);
        }
        // Tried again, with the waits of what fails.
        return Err(Error::RunNotCreated(stall.message));
    }
    let wait = until_next(feed, &plan);
    let look = webhooks::next_look(&webhooks).unwrap_or(wait);
    Ok(Action::requeue(wait.min(look)))
}

/// How long there is nothing to do, if no object changes.
fn until_next(feed: &ArxivFeed, plan: &Plan) -> Duration {
    let next = plan.next.filter(|_| !feed.spec.suspend);
    let wait = next.map_or(LONGEST_WAIT, |next| {
        // A moment later than that, as timers and clocks differ.
        let wait = next
            .duration_since(Timestamp::now())
            .saturating_add(SignedDuration::from_millis(20));
        wait.try_into().unwrap_or_default()
    });
    wait.min(LONGEST_WAIT)
}

/// What is known of the feed. What the spec says is registered first, if that is new.
async fn state(
    context: &Context,
    feed: &ArxivFeed,
    valid: &Valid,
    plan: &Plan,
) -> Result<Option<FeedState>, Error> {
    let registered = with_spec(feed, valid, plan, async |spec| {
        context.with.records.feeds().registered(spec).await
    });
    match registered.await? {
        Some(state) => Ok(Some(state)),
        None => register(context, feed, valid, plan).await,
    }
}

/// Registers what the spec says in the database, before a run can be recorded there; what is known of the feed.
async fn register(
    context: &Context,
    feed: &ArxivFeed,
    valid: &Valid,
    plan: &Plan,
) -> Result<Option<FeedState>, Error> {
    with_spec(feed, valid, plan, async |spec| {
        context.with.records.feeds().register(spec).await
    })
    .await
}

/// Does something with the spec as the database has it.
async fn with_spec(
    feed: &ArxivFeed,
    valid: &Valid,
    plan: &Plan,
    register: impl AsyncFnOnce(&FeedSpec<'_>) -> Result<Option<FeedState>, StorageError>,
) -> Result<Option<FeedState>, Error> {
    let uid = uid(feed).ok_or(Error::Defect("the object has no uid"))?;
    let spec = &feed.spec;
    let (namespace, name) = (feed.namespace().unwrap_or_default(), feed.name_any());
    let search = feed_search_hash(&spec.search);
    let registered = FeedSpec {
        uid,
        is_restored: feed.is_restored(),
        namespace: &namespace,
        name: &name,
        title: &valid.title,
        search: &search,
        initial_items: match spec.initial_items {
            InitialItems::Include => storage::feeds::InitialItems::Include,
            InitialItems::Skip => storage::feeds::InitialItems::Skip,
        },
        revisions: match spec.revisions {
            Revisions::Include => storage::feeds::Revisions::Include,
            Revisions::Ignore => storage::feeds::Revisions::Ignore,
        },
        retention_days: Some(spec.item_retention_days),
        timing: Timing {
            schedule: spec.schedule.clone(),
            time_zone: spec.time_zone.clone(),
            is_suspended: spec.suspend,
            next_run: plan.next.filter(|_| !spec.suspend),
        },
    };
    let state = register(&registered).await;
    state.map_err(Error::storage("registering the feed"))
}

/// What the next run of the feed looks at.
fn next_run(feed: &ArxivFeed, valid: &Valid, state: &FeedState, now: Timestamp) -> NextRun {
    let most = u32::try_from(feed.spec.max_results_per_run).unwrap_or(1);
    let days = u32::try_from(feed.spec.lookback_days).unwrap_or(1);
    runs::from(valid.submitted_after, state.next_run(most, DAY * days, now))
}

/// From when on scheduled times count: the last one with a run, or the creation.
fn since(feed: &ArxivFeed, runs: &Runs) -> Timestamp {
    let status = feed.status.as_ref();
    let reported = status
        .and_then(|status| status.last_schedule_time.as_ref())
        .map(|time| time.0);
    let last = reported.max(runs.last().map(|run| run.key.scheduled));
    let created = feed.metadata.creation_timestamp.as_ref().map(|time| time.0);
    last.or(created).unwrap_or(Timestamp::MAX)
}

/// How late the runs of a feed may start.
pub(super) fn delays(feed: &ArxivFeed) -> Delays {
    let most = u64::try_from(feed.spec.jitter_seconds).unwrap_or(0);
    let jitter = uid(feed).map(|uid| schedule::jitter(uid, Duration::from_secs(most)));
    Delays {
        jitter: jitter
            .and_then(|jitter| jitter.try_into().ok())
            .unwrap_or_default(),
        deadline: feed.spec.starting_deadline_seconds.map(SignedDuration::from_secs),
    }
}

/// Whether the status says already why no run can start.
fn is_reported(feed: &ArxivFeed, stall: &Stall) -> bool {
    feed.condition(FeedCondition::Stalled)
        .is_some_and(|stalled| stalled.reason == stall.reason.as_str())
}

fn send_stall(context: &Context, feed: &ArxivFeed, action: &str, stall: &Stall) {
    let (reason, note) = (stall.reason.as_str(), &stall.message);
    context
        .events
        .send_about(feed, Kind::Warning, action, reason, note);
}

/// Creates a run, or says why it cannot be created for now.
async fn create(
    context: &Context,
    feed: &ArxivFeed,
    queries: &Api<ArxivQuery>,
    (key, next): (RunKey, &NextRun),
    now: Timestamp,
) -> Result<Option<Stall>, Error> {
    let run = runs::object(feed, key, next);
    let name = run.name_any();
    let (reason, message) = match runs::create(queries, feed, &run).await? {
        Created::New => {
            if key.is_first() {
                let planned = key.scheduled.checked_add(delays(feed).jitter);
                let late = now.duration_since(planned.unwrap_or(key.scheduled));
                context.with.metrics.feeds.started(late);
            }
            let note = format!("created {name} for {}", key.scheduled);
            context.events.send_about(
                feed,
                Kind::Normal,
                "Create",
                FeedReason::RunCreated.as_str(),
                &note,
            );
            service::notice!(
                object = feed.name_any(),
                namespace = feed.namespace(),
                "feed: {note}"
            );
            return Ok(None);
        }
        Created::Before => return Ok(None),
        Created::NameTaken => (
            FeedReason::NameTaken,
            format!("{name} is there already and is no run of this feed: it has to be deleted"),
        ),
        Created::Refused(words) => (
            FeedReason::RunRefused,
            format!("Kubernetes refuses {name}: {words}"),
        ),
    };
    Ok(Some(Stall { reason, message }))
}

/// Writes the status, if it says anything new; whether the object has it. It has not if it has changed or is gone.
async fn write_status(
    context: &Context,
    feed: &ArxivFeed,
    status: &crd::ArxivFeedStatus,
) -> Result<bool, Error> {
    if feed.status.as_ref() == Some(status) {
        return Ok(true);
    }
    let feeds = feeds(context, feed);
    let with = (&context.with.metrics, &context.with.revisions);
    Ok(statuses::apply(feeds, &feed.metadata, status, with).await?)
}

fn after_write(is_written: bool, wait: Duration) -> Action {
    Action::requeue(if is_written { wait } else { CHANGED_RETRY })
}

fn feeds(context: &Context, feed: &ArxivFeed) -> Api<ArxivFeed> {
    Api::namespaced(context.with.client.clone(), &feed.namespace().unwrap_or_default())
}

fn uid(feed: &ArxivFeed) -> Option<Uuid> {
    Uuid::parse_str(feed.metadata.uid.as_deref()?).ok()
}
