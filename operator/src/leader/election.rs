//! Leader election: of several processes one works, the others wait in standby. It only saves work and
//! requests: the databases keep numbers, rows and requests correct, however many processes believe that they
//! lead.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, api::PostParams};
use service::health::{NeedState, Readiness};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    leader::lease::{self, GIVE_UP_AFTER, RENEW_EVERY, Seen},
    process::{
        kubernetes::{CallError, within},
        metrics::Metrics,
    },
};

/// How often a process in standby checks the lease.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The pause after a failed renewal, and the time limit of one renewal.
const RENEW_RETRY: Duration = Duration::from_secs(2);
/// The name of the readiness condition.
const CONDITION: &str = "leader election";

/// The election, as one process takes part in it.
#[derive(Clone)]
pub(crate) struct Election {
    leases: Api<Lease>,
    name: Arc<str>,
    /// Unique for each start of a process.
    identity: Arc<str>,
    readiness: Readiness,
    metrics: Metrics,
}

/// The time as the leader. It ends when `lost` is cancelled.
pub(crate) struct Leadership {
    lost: CancellationToken,
    release: CancellationToken,
    renewal: Option<JoinHandle<()>>,
}

/// The result of one check of the lease.
enum Attempt {
    Acquired(Box<Lease>),
    HeldBy(String),
}

impl Election {
    pub(crate) fn new(
        client: Client,
        namespace: &str,
        name: &str,
        readiness: Readiness,
        metrics: Metrics,
    ) -> Self {
        // In a pod, the pod's name.
        let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "arxiv-operator".to_owned());
        Self {
            leases: Api::namespaced(client, namespace),
            name: name.into(),
            identity: format!("{host}_{}", Uuid::new_v4()).into(),
            readiness,
            metrics,
        }
    }

    /// Resolves when this process is the leader.
    pub(crate) async fn acquire(&self) -> Leadership {
        let mut seen = Seen::default();
        let mut logged = None;
        loop {
            let began = Instant::now();
            match self.try_acquire(&mut seen).await {
                Ok(Attempt::Acquired(lease)) => {
                    self.readiness.set(CONDITION, NeedState::Ready);
                    service::notice!("this process is the leader");
                    return self.lead(*lease, began);
                }
                Ok(Attempt::HeldBy(holder)) => {
                    self.readiness.set(CONDITION, NeedState::Ready);
                    if logged.as_ref() != Some(&holder) {
                        service::notice!("standby: the leader is {holder}");
                        logged = Some(holder);
                    }
                }
                Err(error) => self.failed(&error),
            }
            sleep(CHECK_INTERVAL).await;
        }
    }

    /// Takes the lease if it is free.
    async fn try_acquire(&self, seen: &mut Seen) -> Result<Attempt, CallError> {
        let written = match within(self.leases.get_opt(&self.name)).await? {
            None => {
                let lease = lease::new(&self.name, &self.identity, Timestamp::now());
                within(self.leases.create(&PostParams::default(), &lease)).await
            }
            Some(lease) if seen.is_free(&lease, &self.identity, Instant::now()) => {
                self.write(&lease::taken(lease, &self.identity, Timestamp::now()))
                    .await
            }
            Some(lease) => return Ok(Attempt::HeldBy(holder(&lease).to_owned())),
        };
        match written {
            Ok(lease) => Ok(Attempt::Acquired(Box::new(lease))),
            Err(error) if error.code() == Some(409) => Ok(Attempt::HeldBy("another process".to_owned())),
            Err(error) => Err(error),
        }
    }

    /// Replaces the version that was read, so that the lease of another process is never overwritten.
    async fn write(&self, lease: &Lease) -> Result<Lease, CallError> {
        within(self.leases.replace(&self.name, &PostParams::default(), lease)).await
    }

    fn failed(&self, error: &CallError) {
        self.metrics.failed("lease");
        tracing::debug!("the lease cannot be acquired: {error}");
        // Other failures of Kubernetes are shown by its own readiness condition.
        if error.is_refused() {
            let reason = format!(
                "the Lease {} may not be used; check the role and its binding, or set LEADER_ELECTION=false for a single \
                 process",
                self.name
            );
            self.readiness.set(CONDITION, NeedState::NotReady(reason));
        }
    }

    fn lead(&self, lease: Lease, since: Instant) -> Leadership {
        let (lost, release) = (CancellationToken::new(), CancellationToken::new());
        self.metrics.leader.set(1);
        let renewal = tokio::spawn(
            self.clone()
                .renew_loop(lease, since, lost.clone(), release.clone()),
        );
        Leadership {
            lost,
            release,
            renewal: Some(renewal),
        }
    }

    /// Renews the lease until it is released, taken by another process, or not renewed in time.
    async fn renew_loop(
        self,
        mut lease: Lease,
        mut renewed: Instant,
        lost: CancellationToken,
        release: CancellationToken,
    ) {
        // The end of this task, by whatever cause, ends the leadership.
        let _lost = lost.drop_guard();
        let mut next = renewed + RENEW_EVERY;
        loop {
            tokio::select! {
                () = sleep_until(next) => {}
                () = release.cancelled() => break,
            }
            let give_up = renewed + GIVE_UP_AFTER;
            let began = Instant::now();
            match timeout_at(give_up.min(began + RENEW_RETRY), self.renew(&mut lease)).await {
                Ok(Ok(true)) => {
                    renewed = began;
                    next = began + RENEW_EVERY;
                    continue;
                }
                Ok(Ok(false)) => {
                    tracing::warn!("another process took the lease");
                    self.metrics.leader.set(0);
                    return;
                }
                Ok(Err(error)) => {
                    self.metrics.failed("lease");
                    tracing::debug!("the lease was not renewed: {error}");
                }
                Err(_) => self.metrics.failed("lease"),
            }
            if Instant::now() >= give_up {
                tracing::warn!("the lease could not be renewed in time");
                self.metrics.leader.set(0);
                return;
            }
            next = give_up.min(began + RENEW_RETRY);
        }
        self.metrics.leader.set(0);
        if let Err(error) = self.write(&lease::released(lease, Timestamp::now())).await {
            tracing::debug!("the lease was not released: {error}");
        }
    }

    /// Renews the lease; returns whether it is still ours.
    async fn renew(&self, lease: &mut Lease) -> Result<bool, CallError> {
        match self.write(&lease::renewed(lease.clone(), Timestamp::now())).await {
            Ok(written) => {
                *lease = written;
                return Ok(true);
            }
            Err(error) if error.code() == Some(409) => {}
            Err(error) => return Err(error),
        }
        // It has changed: by another leader; by a person who set a label; or by this process, whose last
        // write succeeded although its answer was lost.
        let found = within(self.leases.get(&self.name)).await?;
        if holder(&found) != &*self.identity {
            return Ok(false);
        }
        *lease = self.write(&lease::renewed(found, Timestamp::now())).await?;
        Ok(true)
    }
}

impl Leadership {
    /// The leadership of a process that takes part in no election.
    pub(crate) fn without_election(metrics: &Metrics) -> Self {
        metrics.leader.set(1);
        Self {
            lost: CancellationToken::new(),
            release: CancellationToken::new(),
            renewal: None,
        }
    }

    /// Resolves when the leadership has ended.
    pub(crate) async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Lets another process lead without delay.
    pub(crate) async fn release(self) {
        self.release.cancel();
        if let Some(renewal) = self.renewal
            && timeout(RENEW_RETRY, renewal).await.is_err()
        {
            tracing::debug!("the lease was not released in time; it expires");
        }
    }
}

fn holder(lease: &Lease) -> &str {
    let spec = lease.spec.as_ref();
    spec.and_then(|spec| spec.holder_identity.as_deref())
        .unwrap_or_default()
}
