//! Deletes finished objects after their time to live. Their rows stay.

use std::time::Duration;

use crd::{ArxivQuery, Phase};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, ObjectMeta, Preconditions},
};

use crate::{
    kubernetes::{CallError, within},
    metrics::Metrics,
};

/// Objects in one page of the listing, some 2 kB each.
const PAGE: u32 = 500;
/// Deletions under way at once.
const CONCURRENCY: usize = 8;

/// Deletes what has expired of `all`.
pub(crate) async fn sweep(
    client: &Client,
    all: &Api<ArxivQuery>,
    metrics: &Metrics,
) -> Result<(), CallError> {
    for phase in [Phase::Succeeded, Phase::Failed] {
        let mut page = ListParams::default()
            .fields(&format!("status.phase={phase}"))
            .limit(PAGE);
        loop {
            let listed = within(all.list(&page)).await?;
            let now = Timestamp::now();
            let mut objects = listed.items;
            objects.retain(|object| is_expired(object, now));
            let mut deletions = stream::iter(objects)
                .map(|object| delete(client.clone(), object))
                .buffer_unordered(CONCURRENCY);
            while let Some(deleted) = deletions.next().await {
                if deleted? {
                    metrics.deleted();
                }
            }
            match listed.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page = page.continue_token(&token),
                None => break,
            }
        }
    }
    Ok(())
}

/// Whether the object has ended and outlived its end by as long as its spec says. Without a word in the spec it stays:
/// GitOps would bring back what is deleted, as a new search.
fn is_expired(object: &ArxivQuery, now: Timestamp) -> bool {
    let Some(ttl) = object
        .spec
        .ttl_seconds_after_finished
        .and_then(|ttl| u64::try_from(ttl).ok())
    else {
        return false;
    };
    let status = object.status.as_ref().filter(|status| status.phase.is_final());
    let ended = status.and_then(|status| status.completion_time.as_ref());
    let expires = ended.and_then(|ended| ended.0.checked_add(Duration::from_secs(ttl)).ok());
    expires.is_some_and(|expires| expires <= now)
}

/// Deletes just this object in just this state; whether it was still there.
async fn delete(client: Client, object: ArxivQuery) -> Result<bool, CallError> {
    let ObjectMeta {
        name: Some(name),
        namespace: Some(namespace),
        uid,
        resource_version,
        ..
    } = object.metadata
    else {
        return Ok(false);
    };
    let preconditions = Preconditions {
        uid,
        resource_version,
    };
    let parameters = DeleteParams {
        preconditions: Some(preconditions),
        ..DeleteParams::default()
    };
    let queries = Api::<ArxivQuery>::namespaced(client, &namespace);
    match within(queries.delete(&name, &parameters)).await {
        Ok(_) => {
            tracing::info!(object = name, namespace, "deleted after its time to live");
            Ok(true)
        }
        Err(error) if matches!(error.code(), Some(404 | 409)) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use crd::{ArxivQuerySpec, ArxivQueryStatus};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    #[test]
    fn only_what_has_ended_and_says_so_expires() {
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
