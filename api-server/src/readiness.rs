//! Looks, over and over, at what this process needs.

use std::time::Duration;

use crd::{ArxivQuery, GROUP};
use futures::future::join_all;
use kube::{Client, Error, Resource};
use service::health::{Heartbeat, Readiness};
use storage::{ReplicaState, StorageError, schema};

use crate::{access::why_not_allowed, app::DatabaseCheck};

/// Between two rounds. A pod is taken out of, or into, service a few seconds after things change.
const PAUSE: Duration = Duration::from_secs(2);
/// A replica that is further behind is told of.
const FAR_BEHIND: Duration = Duration::from_secs(30);
/// One look at one thing.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// A round is two looks, at databases and at Kubernetes, and a pause; this is several.
pub(crate) const ROUND_PATIENCE: Duration = Duration::from_mins(1);

/// Never returns.
pub(crate) async fn observe(
    databases: Vec<DatabaseCheck>,
    cluster: Option<Client>,
    reviewer: Option<Client>,
    readiness: Readiness,
    heartbeat: Heartbeat,
) {
    // What is served without anything beside it is ready too.
    if databases.is_empty() && cluster.is_none() && reviewer.is_none() {
        readiness.fine("process");
    }
    for check in databases.iter().filter(|check| !check.shared_replica) {
        readiness.missing(check.name, "not looked at yet");
    }
    if cluster.is_some() {
        readiness.missing("kubernetes", "not looked at yet");
    }
    loop {
        let reasons = join_all(databases.iter().map(look_at_database)).await;
        for (check, reason) in databases.iter().zip(reasons) {
            match reason {
                None => readiness.fine(check.name),
                Some(reason) if check.shared_replica => readiness.warn(check.name, reason),
                Some(reason) => readiness.missing(check.name, reason),
            }
        }
        if let Some(client) = &cluster {
            match look_at_kubernetes(client).await {
                None => readiness.fine("kubernetes"),
                Some(reason) => readiness.missing("kubernetes", reason),
            }
        }
        if let Some(client) = &reviewer {
            look_at_reviews(client, &readiness).await;
        }
        heartbeat.beat();
        tokio::time::sleep(PAUSE).await;
    }
}

/// Why the database cannot be used.
async fn look_at_database(check: &DatabaseCheck) -> Option<String> {
    let looked = tokio::time::timeout(CHECK_TIMEOUT, look_closely(check)).await;
    if !matches!(looked, Ok(Ok(_))) {
        check.lag.note(None);
    }
    match looked {
        Ok(Ok(reason)) => reason,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("the database did not answer in time".to_owned()),
    }
}

async fn look_closely(check: &DatabaseCheck) -> Result<Option<String>, StorageError> {
    if let Some(reason) = schema::check(&check.pool, check.need).await? {
        return Ok(Some(reason.to_owned()));
    }
    if !check.shared_replica {
        return Ok(None);
    }
    let ReplicaState { lag } = ReplicaState::of(&check.pool).await?;
    check.lag.note(lag);
    Ok(lag
        .filter(|lag| *lag >= FAR_BEHIND)
        .map(|lag| format!("the replica is {} seconds behind", lag.as_secs())))
}

/// Whether Kubernetes can be asked who calls. While it is away that is told, and takes no process out of service: those
/// who are known are served, and the others are told why not.
async fn look_at_reviews(client: &Client, readiness: &Readiness) {
    const NAME: &str = "access";
    match tokio::time::timeout(CHECK_TIMEOUT, why_not_allowed(client)).await {
        Ok(Ok(None)) => readiness.fine(NAME),
        Ok(Ok(Some(reason))) => readiness.missing(NAME, reason),
        Ok(Err(_)) | Err(_) => readiness.warn(NAME, "Kubernetes does not answer"),
    }
}

/// Why no object can be made. Discovery answers also while lists and watches are refused after a change of the CRD.
async fn look_at_kubernetes(client: &Client) -> Option<String> {
    let version = format!("{GROUP}/{}", ArxivQuery::version(&()));
    let resources = client.list_api_group_resources(&version);
    match tokio::time::timeout(CHECK_TIMEOUT, resources).await {
        Ok(Ok(resources)) => {
            let served = resources
                .resources
                .iter()
                .any(|resource| resource.name == ArxivQuery::plural(&()));
            (!served).then(|| "the ArxivQuery resource is not installed".to_owned())
        }
        Ok(Err(Error::Api(status))) if status.code == 404 => {
            Some("the ArxivQuery resource is not installed".to_owned())
        }
        Ok(Err(Error::Api(status))) if status.code == 429 => None,
        Ok(Err(_)) | Err(_) => Some("Kubernetes does not answer".to_owned()),
    }
}
