//! Watches finished objects: of which the spec has changed, and when they expire.
//!
//! Nothing happens for a changed spec, but tools (kstatus, `kubectl wait`) take an object for being in progress until its status
//! is about the present generation of its spec.
//!
//! They are watched without being kept: of each only what it is now is looked at, so memory does not grow with
//! history. At first all are listed, which takes Kubernetes long where there are many: searches come before.

mod pace;

use std::{sync::Arc, time::Duration};

use crd::{ArxivQuery, QueryWithoutManagedFields};
use futures::{
    StreamExt,
    future::{join_all, ready},
};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::json;
use service::backoff::Backoff;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use self::pace::Pace;
use super::expiry::{Expiring, ExpiryQueue};
use crate::{
    controller::watch::{ConstantBackoff, Unfinished, anew_after_restores},
    process::{
        claims::ClaimError,
        dependencies::Dependencies,
        kubernetes::{WATCH_SECONDS, within},
        statuses::{FIELD_MANAGER, counted},
    },
};

/// Finished objects in one page of a listing, 2 to 3 kB each: no more of them are ever in memory.
pub(super) const LIST_PAGE: u32 = 250;
/// Writes in progress at once.
const CONCURRENCY: usize = 8;
/// The waits before everything is listed again, after a write that failed.
const RETRY: Backoff = Backoff {
    base: Duration::from_secs(2),
    cap: Duration::from_mins(1),
};

/// Keeps the statuses of finished objects up to date, and the queue of those that expire, until it is stopped. Begins in each
/// namespace when the unfinished ones there have been listed.
pub(crate) async fn run(
    with: Arc<Dependencies>,
    unfinished: Unfinished,
    expiring: Arc<ExpiryQueue>,
    stop: CancellationToken,
) {
    let all = async {
        let each = with.watched.iter().enumerate().map(async |(watch, queries)| {
            unfinished.listed(watch).await;
            follow(&with, queries, &expiring).await;
        });
        join_all(each).await
    };
    // It may be dropped at any point.
    stop.run_until_cancelled(Box::pin(all)).await;
}

/// Watches the finished objects of one namespace or of all, for ever.
async fn follow(with: &Dependencies, queries: &Api<QueryWithoutManagedFields>, expiring: &ExpiryQueue) {
    let mut failures = 0;
    loop {
        // Lists what has changed while there was no watch, in this process or an earlier one.
        let config = watcher::Config::default()
            .fields(&with.finished)
            .page_size(LIST_PAGE)
            .timeout(WATCH_SECONDS);
        let watching = || Box::pin(watcher(queries.clone(), config.clone()).backoff(ConstantBackoff::WATCH));
        let mut pace = Pace::new(LIST_PAGE);
        let outdated = anew_after_restores(watching, with.revisions.clone())
            .then(move |event| {
                let pause = pace.pause_after(&event, Instant::now());
                async move {
                    // The watcher asks for the next page when it is asked for the next event.
                    if let Some(pause) = pause {
                        sleep(pause).await;
                    }
                    event
                }
            })
            .applied_objects()
            .filter_map(|object| {
                if let Err(error) = &object {
                    with.metrics.failed("watch");
                    let error = error as &dyn std::error::Error;
                    tracing::debug!(error, "the watch on finished objects is interrupted");
                }
                let object = object
                    .ok()
                    .map(ArxivQuery::from)
                    .filter(|object| !object.is_being_deleted());
                if let Some(object) = object.as_ref().and_then(Expiring::of) {
                    expiring.add(object);
                }
                ready(object.filter(|object| object.phase().is_final() && object.is_outdated()))
            });
        let confirmed = outdated
            .map(|object| confirm(with, object))
            .buffer_unordered(CONCURRENCY);
        let mut confirmed = std::pin::pin!(confirmed);
        let mut retry_at = None;
        loop {
            let retry = sleep_until(retry_at.unwrap_or_else(Instant::now));
            tokio::select! {
                Some(outcome) = confirmed.next() => match outcome {
                    Ok(()) => failures = 0,
                    Err(_) if retry_at.is_some() => {}
                    Err(_) => {
                        failures += 1;
                        retry_at = Some(Instant::now() + RETRY.delay(failures));
                    }
                },
                () = retry, if retry_at.is_some() => break,
            }
        }
    }
}

/// Writes into the status that it is about the present generation of the spec; nothing if the object has
/// changed since, for which there is another event, or is gone.
async fn confirm(with: &Dependencies, object: ArxivQuery) -> Result<(), ClaimError> {
    let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
    if !with.claims.holds(&namespace).await? {
        return Ok(());
    }
    let queries = Api::<QueryWithoutManagedFields>::namespaced(with.client.clone(), &namespace);
    let generation = object.metadata.generation;
    let patch = json!({
        "metadata": { "uid": object.metadata.uid, "resourceVersion": object.metadata.resource_version },
        "status": { "observedGeneration": generation },
    });
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let patch = Patch::Merge(&patch);
    let written = within(queries.patch_status(&name, &parameters, &patch)).await;
    if let Err(error) = counted(written, &with.metrics) {
        if error.is_refused() {
            let cause = &error as &dyn std::error::Error;
            tracing::warn!(error = cause, object = name, namespace, "a status was refused");
        }
        return Err(error.into());
    }
    Ok(())
}
