//! Deletes finished objects after their time to live. Their rows stay.

use std::time::{Duration, Instant};

use cluster::delete_exact;
use crd::{ArxivQuery, QueryWithoutManagedFields};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use kube::{
    Api, ResourceExt,
    api::{ListParams, Preconditions},
};
use service::health::Heartbeat;

use super::{
    expiry::{NextExpiry, expires_at},
    finished::LIST_PAGE,
};
use crate::process::{
    claims::ClaimError,
    dependencies::Dependencies,
    kubernetes::{CALL_TIMEOUT, within},
};

/// Deletions in progress at once.
const CONCURRENCY: usize = 8;

/// Deletes the expired objects, if there are any; returns how long listing them took. A namespace in which it fails does not keep
/// the others from being swept.
pub(crate) async fn sweep(
    with: &Dependencies,
    next_expiry: &NextExpiry,
    heartbeat: &Heartbeat,
) -> Result<Duration, ClaimError> {
    let began = Timestamp::now();
    if !next_expiry.take(began) {
        return Ok(Duration::ZERO);
    }
    let mut outcome = Ok(Duration::ZERO);
    for queries in &with.watched {
        let swept = sweep_namespace(with, queries, next_expiry, heartbeat).await;
        match (swept, &mut outcome) {
            (Ok(listing), Ok(all)) => *all += listing,
            (Err(error), Ok(_)) => outcome = Err(error),
            (_, Err(_)) => {}
        }
    }
    if outcome.is_err() {
        next_expiry.add(began);
    }
    outcome
}

/// Sweeps one namespace, or all at once.
async fn sweep_namespace(
    with: &Dependencies,
    queries: &Api<QueryWithoutManagedFields>,
    next_expiry: &NextExpiry,
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
        let mut objects: Vec<ArxivQuery> = listed.items.into_iter().map(Into::into).collect();
        objects.retain(|object| match expires_at(object) {
            Some(at) if at > now => {
                next_expiry.add(at);
                false
            }
            expires => expires.is_some(),
        });
        let mut deletions = stream::iter(objects)
            .map(|object| delete(with, object))
            .buffer_unordered(CONCURRENCY);
        while let Some(deleted) = deletions.next().await {
            match deleted {
                Ok(true) => {
                    deleted_since_first = true;
                    with.metrics.deleted.inc();
                }
                Ok(false) => next_expiry.add(now),
                // An object that may not be deleted does not prevent the deletion of others.
                Err(ClaimError::Kubernetes(error)) if error.is_refused() => {
                    next_expiry.add(now);
                    with.metrics.failed("sweep");
                    tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        "an expired object is not deleted"
                    );
                }
                Err(error) => return Err(error),
            }
        }
        match listed.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(listing),
        }
    }
}

/// Deletes exactly this object in exactly this state; false if it has changed or is gone.
async fn delete(with: &Dependencies, object: ArxivQuery) -> Result<bool, ClaimError> {
    let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
    if !with.claims.holds(&namespace).await? {
        return Ok(false);
    }
    let preconditions = Preconditions {
        uid: object.metadata.uid,
        resource_version: object.metadata.resource_version,
    };
    let queries = Api::<QueryWithoutManagedFields>::namespaced(with.client.clone(), &namespace);
    let deleted = delete_exact(&queries, &name, preconditions, CALL_TIMEOUT).await?;
    if deleted {
        tracing::debug!(object = name, namespace, "deleted after its time to live");
    }
    Ok(deleted)
}
