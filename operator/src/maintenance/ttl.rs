//! Deletes finished objects after their time to live. Their rows stay.

use std::time::{Duration, Instant};

use cluster::delete_exact;
use crd::{ArxivQuery, QueryWithoutManagedFields};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use kube::{
    Api,
    api::{ListParams, Preconditions},
};
use service::health::Heartbeat;

use super::{
    expiry::{Due, Expiring, ExpiryQueue},
    finished::LIST_PAGE,
};
use crate::process::{
    claims::ClaimError,
    dependencies::Dependencies,
    kubernetes::{CALL_TIMEOUT, within},
};

/// Deletions in progress at once.
const CONCURRENCY: usize = 8;

/// Deletes the expired objects, if there are any; returns how long listing them took, if they had to be listed.
pub(crate) async fn sweep(
    with: &Dependencies,
    queue: &ExpiryQueue,
    heartbeat: &Heartbeat,
) -> Result<Duration, ClaimError> {
    let began = Timestamp::now();
    let swept = match queue.take(began) {
        Due::Objects(expired) => delete_all(with, queue, expired, heartbeat)
            .await
            .map(|_| Duration::ZERO),
        Due::Listing => list_and_delete(with, queue, heartbeat).await,
    };
    if swept.is_err() {
        queue.list_at(began);
    }
    swept
}

/// Lists all finished objects, and deletes those that have expired. A namespace in which it fails does not keep the others from
/// being swept.
async fn list_and_delete(
    with: &Dependencies,
    queue: &ExpiryQueue,
    heartbeat: &Heartbeat,
) -> Result<Duration, ClaimError> {
    let mut outcome = Ok(Duration::ZERO);
    for queries in &with.watched {
        let swept = sweep_namespace(with, queries, queue, heartbeat).await;
        match (swept, &mut outcome) {
            (Ok(listing), Ok(all)) => *all += listing,
            (Err(error), Ok(_)) => outcome = Err(error),
            (_, Err(_)) => {}
        }
    }
    outcome
}

/// Sweeps one namespace, or all at once.
async fn sweep_namespace(
    with: &Dependencies,
    queries: &Api<QueryWithoutManagedFields>,
    queue: &ExpiryQueue,
    heartbeat: &Heartbeat,
) -> Result<Duration, ClaimError> {
    let mut listing = Duration::ZERO;
    let first = ListParams::default().fields(&with.finished).limit(LIST_PAGE);
    let (mut page, mut deleted_since_first) = (first.clone(), false);
    loop {
        heartbeat.beat();
        let began = Instant::now();
        let listed = within(queries.list(&page)).await;
        listing += began.elapsed();
        let listed = match listed {
            // The deletions took so long that the listing cannot continue where it was.
            Err(error) if error.code() == Some(410) && deleted_since_first => {
                (page, deleted_since_first) = (first.clone(), false);
                continue;
            }
            listed => listed?,
        };
        let now = Timestamp::now();
        let objects = listed.items.into_iter().map(ArxivQuery::from);
        let expiring = objects.filter_map(|object| Expiring::of(&object));
        let (expired, later): (Vec<_>, Vec<_>) = expiring.partition(|object| object.at <= now);
        for object in later {
            queue.add(object);
        }
        deleted_since_first |= delete_all(with, queue, expired, heartbeat).await?;
        match listed.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(listing),
        }
    }
}

/// Deletes these objects; whether there was one. Those that stay are tried again in the next round, or when they expire.
async fn delete_all(
    with: &Dependencies,
    queue: &ExpiryQueue,
    expired: Vec<Expiring>,
    heartbeat: &Heartbeat,
) -> Result<bool, ClaimError> {
    let mut has_deleted = false;
    let mut deletions = stream::iter(expired)
        .map(async |object| (delete(with, &object).await, object))
        .buffer_unordered(CONCURRENCY);
    while let Some((deleted, object)) = deletions.next().await {
        heartbeat.beat();
        match deleted {
            Ok(Outcome::Deleted) => {
                has_deleted = true;
                with.metrics.deleted.inc();
            }
            Ok(Outcome::Kept(object)) => queue.add(object),
            Ok(Outcome::Gone) => {}
            // An object that may not be deleted does not prevent the deletion of others.
            Err(ClaimError::Kubernetes(error)) if error.is_refused() => {
                queue.add(object);
                with.metrics.failed("sweep");
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "an expired object is not deleted"
                );
            }
            Err(error) => return Err(error),
        }
    }
    Ok(has_deleted)
}

/// What became of an object that has expired.
enum Outcome {
    Deleted,
    /// It is there, in this state, and expires.
    Kept(Expiring),
    /// It is not there, or does not expire any more.
    Gone,
}

/// Deletes exactly this object in exactly this state.
async fn delete(with: &Dependencies, object: &Expiring) -> Result<Outcome, ClaimError> {
    let (name, namespace) = (&*object.name, &*object.namespace);
    if !with.claims.holds(namespace).await? {
        return Ok(Outcome::Kept(object.clone()));
    }
    let preconditions = Preconditions {
        uid: Some(object.uid.to_string()),
        resource_version: Some(object.version.to_string()),
    };
    let queries = Api::<QueryWithoutManagedFields>::namespaced(with.client.clone(), namespace);
    if delete_exact(&queries, name, preconditions, CALL_TIMEOUT).await? {
        tracing::debug!(object = name, namespace, "deleted after its time to live");
        return Ok(Outcome::Deleted);
    }
    // A listing may have brought an older state than the watch did before, so that no event tells of this one.
    let present = within(queries.get_opt(name)).await?.map(ArxivQuery::from);
    let present = present.filter(|object| !object.is_being_deleted());
    Ok(present
        .as_ref()
        .and_then(Expiring::of)
        .map_or(Outcome::Gone, Outcome::Kept))
}
