//! Step 9, and every status write before it: one server-side apply of the whole status, for just the object that was
//! read. Needs Kubernetes.

use crd::{ArxivQuery, ArxivQueryStatus, Phase, Reason};
use jiff::Timestamp;
use kube::{
    Resource,
    api::{Patch, PatchParams},
    runtime::controller::Action,
};
use serde_json::json;
use storage::{Ending, Recorded};

use super::close::close;
use crate::{
    controller::{
        conditions,
        context::{Context, Query},
        decision::Verdict,
        error::Error,
        progress_report::Telling,
    },
    process::kubernetes::within,
};

/// Whom Kubernetes names as the owner of the status' fields.
const FIELD_MANAGER: &str = "arxiv-operator";

/// The query's rows stand: it has succeeded.
pub(crate) async fn succeed(
    context: &Context,
    query: &Query,
    sent: &str,
    recorded: &Recorded,
) -> Result<Action, Error> {
    let status = conditions::succeeded(
        &query.object,
        Some(&query.known),
        sent,
        recorded,
        Timestamp::now(),
    );
    let message = status.message.clone().unwrap_or_default();
    if write(context, query, status).await? {
        context.metrics.finished(Phase::Succeeded);
        context
            .events
            .normal(&query.object, "Record", Reason::Succeeded, &message);
        service::notice!(
            { query.id = recorded.query_id, object = query.name(), namespace = query.namespace() },
            "query succeeded: {message}"
        );
    }
    Ok(Action::await_change())
}

/// The query is to end without rows: it is closed, and told of; if its rows stand already, it has succeeded.
pub(crate) async fn fail(
    context: &Context,
    query: &Query,
    sent: Option<&str>,
    verdict: &Verdict,
) -> Result<Action, Error> {
    context.tracker.leave(query.uid);
    match close(context, query, verdict).await? {
        Ending::Recorded(recorded) => succeed(context, query, sent.unwrap_or_default(), &recorded).await,
        Ending::Failed(closing) => failed(context, query, sent, &closing.into()).await,
    }
}

/// The query is closed: it has ended without rows.
pub(crate) async fn failed(
    context: &Context,
    query: &Query,
    sent: Option<&str>,
    verdict: &Verdict,
) -> Result<Action, Error> {
    let now = Timestamp::now();
    let cooling_until = context.tracker.cooling_until(now);
    let status = conditions::failed(
        &query.object,
        Some(&query.known),
        sent,
        verdict,
        cooling_until,
        now,
    );
    if write(context, query, status).await? {
        context.metrics.finished(Phase::Failed);
        context
            .events
            .warning(&query.object, "Fetch", verdict.reason, &verdict.message);
        service::notice!(
            object = query.name(),
            namespace = query.namespace(),
            reason = verdict.reason.as_str(),
            "query failed: {}",
            verdict.message
        );
    }
    Ok(Action::await_change())
}

/// The query is left alone until it is resumed.
pub(crate) async fn suspended(context: &Context, query: &Query, sent: &str) -> Result<(), Error> {
    let status = conditions::suspended(&query.object, &query.known, sent, Timestamp::now());
    let message = status.message.clone().unwrap_or_default();
    if write(context, query, status).await? {
        context
            .events
            .normal(&query.object, "Suspend", Reason::Suspended, &message);
    }
    Ok(())
}

/// The query goes on, and its users are told how. Whether the object still stood as it was read.
pub(crate) async fn tell(
    context: &Context,
    query: &Query,
    sent: &str,
    telling: &Telling,
) -> Result<bool, Error> {
    let Telling {
        obstacle, message, ..
    } = telling;
    let status = conditions::unfinished(&query.object, &query.known, sent, telling, Timestamp::now());
    let written = write(context, query, status).await?;
    if written && (obstacle.is_some() || query.known.failure.is_some()) {
        let reason = obstacle.map_or(Reason::Retrying, conditions::Obstacle::reason);
        context.events.warning(&query.object, "Fetch", reason, message);
    }
    Ok(written)
}

/// Whether it was written. It is not when the object has changed, was deleted, or is at its end already: then this
/// reconciliation is forgotten, and the change itself brings the next one.
async fn write(context: &Context, query: &Query, status: ArxivQueryStatus) -> Result<bool, Error> {
    let metadata = &query.object.metadata;
    let patch = json!({
        "apiVersion": ArxivQuery::api_version(&()),
        "kind": ArxivQuery::kind(&()),
        // Without the version, a late write would land on a new object of the same name: the uid alone is not checked.
        "metadata": { "name": metadata.name, "uid": metadata.uid, "resourceVersion": metadata.resource_version },
        "status": status,
    });
    let queries = context.queries(query.namespace());
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let patch = Patch::Apply(&patch);
    match within(queries.patch_status(query.name(), &parameters, &patch)).await {
        Ok(_) => {
            context.metrics.wrote_status("written");
            Ok(true)
        }
        Err(error) => match error.code() {
            Some(409) => {
                context.metrics.wrote_status("conflict");
                Ok(false)
            }
            Some(404) => {
                context.metrics.wrote_status("gone");
                Ok(false)
            }
            Some(422) => {
                context.metrics.wrote_status("refused");
                tracing::warn!(
                    object = query.name(),
                    namespace = query.namespace(),
                    "a status was refused: {error}"
                );
                Ok(false)
            }
            _ => {
                context.metrics.wrote_status("error");
                Err(Error::Kubernetes(error))
            }
        },
    }
}
