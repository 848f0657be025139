//! What is checked of replicas and of Kubernetes, for readiness.

use std::time::Duration;

use crd::{ArxivQuery, GROUP};
use databases::check;
use kube::{Client, Error, Resource};
use service::health::NeedState;
use storage::{Pool, ReplicaState, StorageError, schema::Need};
use tokio::time::timeout;

use crate::{auth::kubernetes::self_check, output::lag::Lag};

/// The pause between two rounds. A pod is taken out of, or into, service a few seconds after things change.
pub(crate) const PAUSE: Duration = Duration::from_secs(2);
/// A round is the longest check and a pause; this is several.
pub(crate) const LONGEST_ROUND: Duration = Duration::from_mins(1);
/// A replica that is further behind is reported.
const FAR_BEHIND: Duration = Duration::from_secs(30);
/// The reason while Kubernetes is unavailable.
const UNAVAILABLE: &str = "Kubernetes does not answer";
/// One check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether a replica can be used; notes how far it is behind.
pub(crate) async fn replica(pool: Pool, need: Need, lag: Lag) -> NeedState {
    let state = check(&pool, need).await;
    if state != NeedState::Ready {
        lag.record(None);
        return state;
    }
    let replica = timeout(CHECK_TIMEOUT, ReplicaState::of(&pool)).await;
    let replica = replica.unwrap_or(Err(StorageError::TimedOut));
    lag.record(replica.as_ref().ok().and_then(ReplicaState::lag));
    match (replica, lag.seen()) {
        (Err(error), _) => NeedState::because(error.to_string(), &error),
        (Ok(_), Some(lag)) if lag >= FAR_BEHIND => {
            NeedState::Degraded(format!("the replica is {} seconds behind", lag.as_secs()).into())
        }
        (Ok(_), _) => NeedState::Ready,
    }
}

/// Whether Kubernetes can be asked for the rights of callers. Once it has answered, the process stays in service without
/// it: callers whose rights are known are served, and the others get the reason.
pub(crate) async fn reviews(client: Client) -> NeedState {
    match timeout(CHECK_TIMEOUT, self_check(&client)).await {
        Ok(Ok(None)) => NeedState::Ready,
        Ok(Ok(Some(reason))) => NeedState::NotReady(reason.into()),
        Ok(Err(error)) => NeedState::because(UNAVAILABLE, &error),
        Err(_) => NeedState::NotReady(UNAVAILABLE.into()),
    }
}

/// Whether objects can be created. Discovery answers also while lists and watches are refused after a change of the CRD.
pub(crate) async fn kubernetes(client: Client) -> NeedState {
    let version = format!("{GROUP}/{}", ArxivQuery::version(&()));
    let resources = client.list_api_group_resources(&version);
    let plural = ArxivQuery::plural(&());
    let not_installed = || NeedState::NotReady("the ArxivQuery resource is not installed".into());
    match timeout(CHECK_TIMEOUT, resources).await {
        Ok(Ok(list)) if list.resources.iter().any(|resource| resource.name == plural) => NeedState::Ready,
        Ok(Ok(_)) => not_installed(),
        Ok(Err(Error::Api(status))) if status.code == 404 => not_installed(),
        // It asks to slow down, so it is there.
        Ok(Err(Error::Api(status))) if status.code == 429 => NeedState::Ready,
        Ok(Err(error)) => NeedState::because(UNAVAILABLE, &error),
        Err(_) => NeedState::NotReady(UNAVAILABLE.into()),
    }
}
