//! Steps 7 to 9 of a query's life: the one place where a decision is carried out. Numbers, rows and
//! tombstones go to the databases; then comes one server-side apply of the whole status, for exactly the
//! object that was read.

use std::time::{Duration, Instant};

use crd::{ArxivQuery, ArxivQueryStatus, CLIENT_LABEL, FailurePolicy, Phase, Reason};
use jiff::Timestamp;
use kube::runtime::controller::Action;
use storage::{Ending, FailureRecord};
use tracing::Instrument;

use super::{
    context::{Context, Query},
    decision::QueryDecision,
    error::Error,
    record::record,
    report::{conditions::truncated_message, progress_report::StatusUpdate},
};
use crate::process::statuses;

/// An object that has changed is reconciled again when the watch reports the change, and after this time in
/// any case.
const CHANGED_RETRY: Duration = Duration::from_secs(30);

/// Carries out the decision; returns when the query is reconciled again.
///
/// - A query with all its pages: step 7 takes its number, step 8 writes its rows.
/// - A query that fails: step 8 writes a tombstone, so that no process can write rows of it later.
/// - Step 9 writes the status: from what step 8 has found in the database, not from what it wanted to write.
/// - A query that waits or is suspended has only the status of step 9, and that only if it is worth a write.
pub(crate) async fn apply(
    context: &Context,
    query: &Query,
    decision: QueryDecision,
) -> Result<Action, Error> {
    let ending = match decision {
        QueryDecision::Finish(ending) => ending,
        QueryDecision::Fail(failure) => write_tombstone(context, query, failure).await?,
        QueryDecision::Record(pages) => {
            if !is_current(context, query).await? {
                return Ok(Action::requeue(CHANGED_RETRY));
            }
            record(context, query, &pages).await?
        }
        // The stored pages stay: when the query is resumed on the same day, it continues with them.
        QueryDecision::Suspend { report } => {
            let is_reported = !report || report_suspension(context, query).await?;
            return Ok(after_write(is_reported));
        }
        QueryDecision::Wait {
            page,
            until,
            stored,
            report,
        } => {
            let (now, tracker) = (Timestamp::now(), &context.tracker);
            match page {
                Some(page) => tracker.enqueue(query.uid, &query.object, page, stored, now),
                // An earlier decision may have put it into the queue.
                None => tracker.dequeue(query.uid),
            }
            if let Some(update) = report {
                let update = update.with_queue_position(tracker.requests_ahead(query.uid));
                if report_progress(context, query, &update).await? {
                    tracker.update(query.uid, |query| {
                        (query.slices_reported, query.reported_at) = (stored, now);
                    });
                }
            }
            return Ok(until.map_or_else(Action::await_change, requeue_at));
        }
    };
    let is_reported = finish(context, query, &ending).await?;
    Ok(after_write(is_reported))
}

/// A status that the object's change prevented is written again in any case: the watch may have missed the
/// change (if Kubernetes' database was restored, it even knows a later one).
fn after_write(written: bool) -> Action {
    if written {
        Action::await_change()
    } else {
        Action::requeue(CHANGED_RETRY)
    }
}

fn requeue_at(time: Timestamp) -> Action {
    let delay = time.duration_since(Timestamp::now());
    Action::requeue(delay.try_into().unwrap_or_default())
}

/// Whether the object is still as it was read, before anything is recorded for it.
///
/// The watch may be behind, or this process may have been paused; meanwhile the object may have been deleted
/// or, by another operator, finished. If the object has changed, the change itself brings the next reconciliation.
/// Where the watch has just brought something newer, Kubernetes is not asked: its answer would say the same, and either
/// may be out of date before the rows are committed. What must never happen is prevented there: by the uid's lock, the
/// tombstone of a query that failed, and the version in the status.
async fn is_current(context: &Context, query: &Query) -> Result<bool, Error> {
    if context.unfinished.confirms(&query.object, Instant::now()) {
        return Ok(true);
    }
    let queries = context.queries(query.namespace());
    Ok(statuses::is_unchanged(&queries, &query.object.metadata).await?)
}

/// Records that the query ends without rows, unless it has ended already; returns how it ended.
///
/// Another operator, or this one before a pause, may be about to write rows. The database decides which of
/// the two comes first, and the status is written only after that.
async fn write_tombstone(context: &Context, query: &Query, failure: FailureRecord) -> Result<Ending, Error> {
    context.tracker.dequeue(query.uid);
    let failure = FailureRecord {
        message: truncated_message(&failure.message),
        ..failure
    };
    let records = &context.with.records;
    let owner = query.owner();
    let ending = records.write_tombstone(&owner, &failure);
    let ending = ending.instrument(tracing::error_span!("record")).await;
    ending.map_err(Error::storage("writing the tombstone"))
}

/// The status of a query that has ended, with its Event, metric and log line. Returns whether it was written.
async fn finish(context: &Context, query: &Query, ending: &Ending) -> Result<bool, Error> {
    let snapshot = query.snapshot(&context.tracker);
    let (status, reason) = match ending {
        Ending::Recorded(recorded) => (snapshot.succeeded(recorded), Reason::Succeeded),
        Ending::Failed(failure) => (snapshot.failed(failure), Reason::of_failure(&failure.reason)),
    };
    if !write_status(context, query, &status, Some(reason)).await? {
        return Ok(false);
    }
    context.with.metrics.finished(status.phase);
    let reason = reason.as_str();
    let message = status.message.unwrap_or_default();
    match ending {
        Ending::Recorded(recorded) => {
            service::notice!({ query.id = recorded.query_id }, "query succeeded: {message}");
        }
        Ending::Failed(_) => service::notice!(reason, "query failed: {message}"),
    }
    Ok(true)
}

/// The status of a suspended query, with an Event if that is new.
pub(crate) async fn report_suspension(context: &Context, query: &Query) -> Result<bool, Error> {
    let status = query.snapshot(&context.tracker).suspended();
    let is_new = query.object.phase() != Phase::Suspended;
    write_status(context, query, &status, is_new.then_some(Reason::Suspended)).await
}

/// The status of a query that waits. Returns whether it was written.
pub(crate) async fn report_progress(
    context: &Context,
    query: &Query,
    update: &StatusUpdate,
) -> Result<bool, Error> {
    let retrying = query.progress.failure.as_ref().map(|_| Reason::Retrying);
    let status = query.snapshot(&context.tracker).unfinished(update);
    write_status(context, query, &status, update.blocked.or(retrying)).await
}

/// Whether there is an Event. There is none where only a caller of the REST API waits for the end: it gets its answer,
/// and Events cost Kubernetes as much as objects. A failure has one in any case.
fn is_worth_an_event(object: &ArxivQuery, reason: Reason) -> bool {
    let labels = object.metadata.labels.as_ref();
    let is_of_a_client = labels.is_some_and(|labels| labels.contains_key(CLIENT_LABEL));
    let is_waited_for = is_of_a_client && object.spec.failure_policy == FailurePolicy::FailFast;
    !is_waited_for || reason != Reason::Succeeded
}

/// Writes the status and sends an Event with its message; returns whether it was written. It is not if the
/// object has changed or was deleted: then this reconciliation has no effect, and the change itself brings the
/// next one. An error if Kubernetes refuses the status, which is also so where it is final already.
async fn write_status(
    context: &Context,
    query: &Query,
    status: &ArxivQueryStatus,
    event: Option<Reason>,
) -> Result<bool, Error> {
    let queries = context.queries(query.namespace());
    let with = (&context.with.metrics, &context.with.revisions);
    let written = statuses::apply(queries, &query.object.metadata, status, with);
    let is_written = written.instrument(tracing::error_span!("write status")).await?;
    if is_written && let Some(reason) = event.filter(|reason| is_worth_an_event(&query.object, *reason)) {
        let message = status.message.as_deref().unwrap_or_default();
        context.events.send(&query.object, reason, message);
    }
    Ok(is_written)
}

#[cfg(test)]
mod tests {
    use crd::ArxivQuerySpec;

    use super::*;

    #[test]
    fn success_of_a_search_that_only_a_caller_waits_for_has_no_event_and_everything_else_has() {
        let (fail_fast, retry) = (FailurePolicy::FailFast, FailurePolicy::default());
        for (of_a_client, failure_policy, reason, expected) in [
            (true, fail_fast, Reason::Succeeded, false),
            (true, fail_fast, Reason::Throttled, true),
            (true, fail_fast, Reason::Retrying, true),
            (true, retry, Reason::Succeeded, true),
            (false, fail_fast, Reason::Succeeded, true),
            (false, retry, Reason::Failed, true),
        ] {
            let spec = ArxivQuerySpec {
                failure_policy,
                ..ArxivQuerySpec::default()
            };
            let mut object = ArxivQuery::new("q", spec);
            let label = of_a_client.then(|| (CLIENT_LABEL.to_owned(), "c".to_owned()));
            object.metadata.labels = Some(label.into_iter().collect());
            assert_eq!(
                is_worth_an_event(&object, reason),
                expected,
                "{of_a_client} {failure_policy:?} {reason:?}"
            );
        }
    }
}
