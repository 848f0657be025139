//! Deletes finished objects after their time to live. Their rows stay.

use std::time::{Duration, Instant};

use cluster::delete_exact;
use crd::{ArxivQuery, Phase};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use kube::{
    Api, ResourceExt,
    api::{ListParams, Preconditions},
};
use service::health::Heartbeat;

use crate::process::{
    claims::ClaimError,
    dependencies::Dependencies,
    kubernetes::{CALL_TIMEOUT, within},
};

/// Objects in one page of the listing, 2 to 3 kB each: no more of them are ever in memory.
const PAGE: u32 = 100;
/// Deletions in progress at once.
const CONCURRENCY: usize = 8;

/// Deletes the expired objects; returns how long listing them took. A namespace in which it fails does not keep the
/// others from being swept.
pub(crate) async fn sweep(with: &Dependencies, heartbeat: &Heartbeat) -> Result<Duration, ClaimError> {
    let mut outcome = Ok(Duration::ZERO);
    for queries in &with.watched {
        match (sweep_namespace(with, queries, heartbeat).await, &mut outcome) {
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
    queries: &Api<ArxivQuery>,
    heartbeat: &Heartbeat,
) -> Result<Duration, ClaimError> {
    let mut listing = Duration::ZERO;
    for phase in [Phase::Succeeded, Phase::Failed] {
        let first = ListParams::default()
            .fields(&format!("status.phase={phase},{}", with.of_class))
            .limit(PAGE);
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
            let mut objects = listed.items;
            objects.retain(|object| is_expired(object, now));
            let mut deletions = stream::iter(objects)
                .map(|object| delete(with, object))
                .buffer_unordered(CONCURRENCY);
            while let Some(deleted) = deletions.next().await {
                match deleted {
                    Ok(true) => {
                        deleted_since_first = true;
                        with.metrics.deleted.inc();
                    }
                    Ok(false) => {}
                    // An object that may not be deleted does not prevent the deletion of others.
                    Err(ClaimError::Kubernetes(error)) if error.is_refused() => {
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
                None => break,
            }
        }
    }
    Ok(listing)
}

/// Whether the object has ended, and its time to live has passed since. Without a time to live in the spec it
/// is kept: GitOps would create a deleted object again, as a new search.
fn is_expired(object: &ArxivQuery, now: Timestamp) -> bool {
    let ttl = object.spec.ttl_seconds_after_finished;
    let Some(ttl) = ttl.and_then(|ttl| u64::try_from(ttl).ok()) else {
        return false;
    };
    let status = object.status.as_ref().filter(|status| status.phase.is_final());
    let ended = status.and_then(|status| status.completion_time.as_ref());
    let expires = ended.and_then(|ended| ended.0.checked_add(Duration::from_secs(ttl)).ok());
    expires.is_some_and(|expires| expires <= now)
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
    let queries = Api::<ArxivQuery>::namespaced(with.client.clone(), &namespace);
    let deleted = delete_exact(&queries, &name, preconditions, CALL_TIMEOUT).await?;
    if deleted {
        tracing::debug!(object = name, namespace, "deleted after its time to live");
    }
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use crd::{ArxivQuerySpec, ArxivQueryStatus};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    #[test]
    fn object_expires_when_its_time_to_live_has_passed_since_its_end() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let cases = [
            ("no time to live", Phase::Succeeded, Some(10), None, false),
            ("not yet", Phase::Succeeded, Some(10), Some(91), false),
            ("now", Phase::Succeeded, Some(10), Some(90), true),
            ("failed", Phase::Failed, Some(10), Some(5), true),
            ("at once", Phase::Failed, Some(100), Some(0), true),
            ("unfinished", Phase::Running, Some(10), Some(5), false),
            ("no end", Phase::Succeeded, None, Some(5), false),
            ("a negative one", Phase::Succeeded, Some(10), Some(-5), false),
        ];
        for (name, phase, ended, ttl, expired) in cases {
            let mut object = ArxivQuery::new("q", ArxivQuerySpec::default());
            object.spec.ttl_seconds_after_finished = ttl;
            object.status = Some(ArxivQueryStatus {
                phase,
                completion_time: ended.map(|ended| Time(at(ended))),
                ..Default::default()
            });
            assert_eq!(is_expired(&object, at(100)), expired, "{name}");
        }
    }
}
