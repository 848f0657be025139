//! Steps 7 to 9 of a query's life: the one place where a decision is carried out. Numbers, rows and
//! tombstones go to the databases; then comes one server-side apply of the whole status, for exactly the
//! object that was read.

use std::time::Duration;

use crd::{ArxivQuery, ArxivQueryStatus, Reason};
use jiff::Timestamp;
use kube::{
    Resource,
    api::{Patch, PatchParams},
    runtime::{controller::Action, events::EventType},
};
use serde_json::json;
use storage::{Ending, FailureRecord};

use super::{
    context::{Context, Query},
    decision::QueryDecision,
    error::Error,
    record::record,
    report::{
        conditions::{StatusBuilder, truncated_message},
        progress_report::{BlockedReason, StatusUpdate},
    },
};
use crate::process::kubernetes::within;

/// The field manager of the status in Kubernetes.
const FIELD_MANAGER: &str = "arxiv-operator";
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
        QueryDecision::Suspend { report } => {
            if report {
                report_suspension(context, query).await?;
            }
            return Ok(Action::await_change());
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
                // A decision from just before a failure became known may have put it into the queue.
                None => tracker.dequeue(query.uid),
            }
            if let Some(update) = report {
                let update = update.with_queue_position(tracker.requests_ahead(query.uid));
                if report_progress(context, query, &update).await? {
                    tracker.status_written(query.uid, stored, now);
                }
            }
            return Ok(until.map_or_else(Action::await_change, requeue_at));
        }
    };
    finish(context, query, &ending).await?;
    Ok(Action::await_change())
}

fn requeue_at(time: Timestamp) -> Action {
    let delay = time.duration_since(Timestamp::now());
    Action::requeue(delay.try_into().unwrap_or_default())
}

/// Whether the object is still as it was read, before anything is recorded for it.
///
/// The watch may be behind, or this process may have been paused; meanwhile the object may have been deleted
/// or, by another operator, finished. A failure in its status is final: nothing is recorded after it. If the
/// object has changed, the change itself brings the next reconciliation.
async fn is_current(context: &Context, query: &Query) -> Result<bool, Error> {
    let queries = context.queries(query.namespace());
    let now = within(queries.get_metadata_opt(query.name()))
        .await
        .map_err(Error::Kubernetes)?;
    let read = &query.object.metadata;
    Ok(now.is_some_and(|now| {
        now.metadata.uid == read.uid && now.metadata.resource_version == read.resource_version
    }))
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
    let ending = context.records.write_tombstone(&query.owner(), &failure).await;
    ending.map_err(Error::storage("writing the tombstone"))
}

/// The status of a query that has ended, with its Event, metric and log line.
async fn finish(context: &Context, query: &Query, ending: &Ending) -> Result<(), Error> {
    let now = Timestamp::now();
    let builder = builder(query, now);
    let status = match ending {
        Ending::Recorded(recorded) => builder.succeeded(recorded),
        Ending::Failed(failure) => builder.failed(failure, context.tracker.cooling_until(now)),
    };
    if !write_status(context, query, &status).await? {
        return Ok(());
    }
    context.metrics.finished(status.phase);
    let (object, namespace) = (query.name(), query.namespace());
    match ending {
        Ending::Recorded(recorded) => {
            let message = status.message.unwrap_or_default();
            context.events.send(
                &query.object,
                EventType::Normal,
                "Record",
                Reason::Succeeded,
                &message,
            );
            service::notice!(
                { query.id = recorded.query_id, object, namespace },
                "query succeeded: {message}"
            );
        }
        Ending::Failed(failure) => {
            let (reason, message) = (Reason::of_failure(&failure.reason), &failure.message);
            context
                .events
                .send(&query.object, EventType::Warning, "Fetch", reason, message);
            let reason = reason.as_str();
            service::notice!(object, namespace, reason, "query failed: {message}");
        }
    }
    Ok(())
}

/// The status of a query that waits. Returns whether it was written.
pub(crate) async fn report_progress(
    context: &Context,
    query: &Query,
    update: &StatusUpdate,
) -> Result<bool, Error> {
    let status = builder(query, Timestamp::now()).unfinished(update);
    let written = write_status(context, query, &status).await?;
    if written && (update.blocked.is_some() || query.progress.failure.is_some()) {
        let reason = update.blocked.map_or(Reason::Retrying, BlockedReason::reason);
        context.events.send(
            &query.object,
            EventType::Warning,
            "Fetch",
            reason,
            &update.message,
        );
    }
    Ok(written)
}

/// The status of a query that is suspended. Its stored pages stay, so that it continues with them when it is
/// resumed on the same day; its deadline starts again then.
async fn report_suspension(context: &Context, query: &Query) -> Result<(), Error> {
    let status = builder(query, Timestamp::now()).suspended();
    if write_status(context, query, &status).await? {
        let message = status.message.unwrap_or_default();
        context.events.send(
            &query.object,
            EventType::Normal,
            "Suspend",
            Reason::Suspended,
            &message,
        );
    }
    Ok(())
}

fn builder(query: &Query, now: Timestamp) -> StatusBuilder<'_> {
    StatusBuilder {
        object: &query.object,
        progress: &query.progress,
        sent: query.sent.as_deref(),
        now,
    }
}

/// Writes the status; returns whether it was written. It is not if the object has changed, was deleted, or
/// has a final status already: then this reconciliation has no effect, and the change itself brings the next
/// one.
async fn write_status(context: &Context, query: &Query, status: &ArxivQueryStatus) -> Result<bool, Error> {
    let metadata = &query.object.metadata;
    let patch = json!({
        "apiVersion": ArxivQuery::api_version(&()),
        "kind": ArxivQuery::kind(&()),
        // Without the version, a late write would change a new object of the same name: the uid alone is not
        // checked.
        "metadata": { "name": metadata.name, "uid": metadata.uid, "resourceVersion": metadata.resource_version },
        "status": status,
    });
    let queries = context.queries(query.namespace());
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let patch = Patch::Apply(&patch);
    let written = within(queries.patch_status(query.name(), &parameters, &patch)).await;
    let outcome = match &written {
        Ok(_) => "written",
        Err(error) => match error.code() {
            Some(409) => "conflict",
            Some(404) => "gone",
            Some(422) => {
                let (object, namespace) = (query.name(), query.namespace());
                tracing::warn!(object, namespace, "a status was refused: {error}");
                "refused"
            }
            _ => "error",
        },
    };
    context.metrics.wrote_status(outcome);
    match written {
        Ok(_) => Ok(true),
        Err(error) if outcome == "error" => Err(Error::Kubernetes(error)),
        Err(_) => Ok(false),
    }
}
