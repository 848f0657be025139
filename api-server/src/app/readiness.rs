//! Looks, over and over, at what this process needs.
//!
//! A process that never had all of it is not ready: it would only answer errors. What is lost later is shared by all processes (a
//! database, Kubernetes), so it takes none of them out of service: that would also take away what can still be served, and callers
//! would get no connection in place of a 503 with its reason and `Retry-After`, or a 202.

use std::time::Duration;

use crd::{ArxivQuery, GROUP};
use futures::future::join_all;
use kube::{Client, Error, Resource};
use service::health::{Heartbeat, Readiness};
use storage::{ReplicaState, StorageError, schema};

use crate::{app::DatabaseCheck, auth::kubernetes::self_check};

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
    let mut needs: Vec<_> = databases
        .iter()
        .map(|check| Need {
            name: check.name,
            // A replica is shared from the start.
            was_there: check.shared_replica,
        })
        .collect();
    let mut kubernetes = Need::new("kubernetes");
    let mut access = Need::new("access");
    let first = needs.iter().chain(cluster.as_ref().map(|_| &kubernetes));
    for need in first.filter(|need| !need.was_there) {
        readiness.missing(need.name, "not looked at yet");
    }
    loop {
        let reasons = join_all(databases.iter().map(look_at_database)).await;
        for (need, reason) in needs.iter_mut().zip(reasons) {
            need.tell(reason, &readiness);
        }
        if let Some(client) = &cluster {
            kubernetes.tell(look_at_kubernetes(client).await, &readiness);
        }
        if let Some(client) = &reviewer {
            look_at_reviews(client, &mut access, &readiness).await;
        }
        heartbeat.beat();
        tokio::time::sleep(PAUSE).await;
    }
}

/// One thing that is looked at.
struct Need {
    /// The name in /readyz.
    name: &'static str,
    /// Whether its absence is only told from now on.
    was_there: bool,
}

impl Need {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            was_there: false,
        }
    }

    /// Tells what a look at it showed: why it is not there, or none.
    fn tell(&mut self, reason: Option<String>, readiness: &Readiness) {
        match reason {
            None => {
                self.was_there = true;
                readiness.fine(self.name);
            }
            Some(reason) if self.was_there => readiness.warn(self.name, reason),
            Some(reason) => readiness.missing(self.name, reason),
        }
    }
}

/// Why the database cannot be used.
async fn look_at_database(check: &DatabaseCheck) -> Option<String> {
    let looked = tokio::time::timeout(CHECK_TIMEOUT, look_closely(check)).await;
    if !matches!(looked, Ok(Ok(_))) {
        check.lag.record(None);
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
    check.lag.record(lag);
    Ok(check
        .lag
        .seen()
        .filter(|lag| *lag >= FAR_BEHIND)
        .map(|lag| format!("the replica is {} seconds behind", lag.as_secs())))
}

/// Whether Kubernetes can be asked who calls. While it is away that is told, and takes no process out of service: those
/// who are known are served, and the others are told why not.
async fn look_at_reviews(client: &Client, need: &mut Need, readiness: &Readiness) {
    match tokio::time::timeout(CHECK_TIMEOUT, self_check(client)).await {
        Ok(Ok(reason)) => need.tell(reason.map(str::to_owned), readiness),
        Ok(Err(_)) | Err(_) => readiness.warn(need.name, "Kubernetes does not answer"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_once_takes_nobody_out_of_service() {
        let readiness = Readiness::default();
        let (mut primary, mut other) = (Need::new("sequence"), Need::new("upstream"));
        let away = || Some("the database is away".to_owned());
        primary.tell(away(), &readiness);
        other.tell(None, &readiness);
        assert!(!readiness.is_ready(), "never seen");
        primary.tell(None, &readiness);
        assert!(readiness.is_ready());
        primary.tell(away(), &readiness);
        other.tell(away(), &readiness);
        assert!(readiness.is_ready(), "seen before");
        assert_eq!(
            readiness.reasons().into_keys().collect::<Vec<_>>(),
            ["sequence", "upstream"]
        );
        primary.tell(None, &readiness);
        other.tell(None, &readiness);
        assert!(readiness.is_ready() && readiness.reasons().is_empty());
    }
}
