//! Leader election: of several processes one works, the others stand by. It saves work and requests, nothing more: that
//! numbers, rows and requests are right is kept by the databases, however many processes believe to be the leader.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, api::PostParams};
use service::health::Readiness;
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

/// How often those who stand by look at the lease.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The pause after a renewal that did not get through, and the longest that one may take.
const RETRY: Duration = Duration::from_secs(2);
/// The lease, as readiness names it.
const NEED: &str = "leader election";

/// Where one process takes part in the election.
#[derive(Clone)]
pub(crate) struct Election {
    leases: Api<Lease>,
    name: Arc<str>,
    /// One for each start of a process.
    me: Arc<str>,
    readiness: Readiness,
    metrics: Metrics,
}

/// A term as the leader.
pub(crate) struct Leadership {
    lost: CancellationToken,
    release: CancellationToken,
    keeper: Option<JoinHandle<()>>,
}

/// What came of one look at the lease.
enum Look {
    Won(Box<Lease>),
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
        // In a pod, its name.
        let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "arxiv-operator".to_owned());
        Self {
            leases: Api::namespaced(client, namespace),
            name: name.into(),
            me: format!("{host}_{}", Uuid::new_v4()).into(),
            readiness,
            metrics,
        }
    }

    /// Resolves when this process is the leader.
    pub(crate) async fn won(&self) -> Leadership {
        let mut seen = Seen::default();
        let mut told = None;
        loop {
            let asked = Instant::now();
            match self.look(&mut seen).await {
                Ok(Look::Won(lease)) => {
                    self.readiness.fine(NEED);
                    service::notice!("this process leads");
                    return self.leadership(*lease, asked);
                }
                Ok(Look::HeldBy(holder)) => {
                    self.readiness.fine(NEED);
                    if told.as_ref() != Some(&holder) {
                        service::notice!("standing by: {holder} leads");
                        told = Some(holder);
                    }
                }
                Err(error) => self.failed(&error),
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Takes the lease if nobody has it.
    async fn look(&self, seen: &mut Seen) -> Result<Look, CallError> {
        let written = match within(self.leases.get_opt(&self.name)).await? {
            None => {
                let lease = lease::new(&self.name, &self.me, Timestamp::now());
                within(self.leases.create(&PostParams::default(), &lease)).await
            }
            Some(lease) if seen.is_free(&lease, &self.me, Instant::now()) => {
                self.write(&lease::taken(lease, &self.me, Timestamp::now())).await
            }
            Some(lease) => return Ok(Look::HeldBy(holder(&lease).to_owned())),
        };
        match written {
            Ok(lease) => Ok(Look::Won(Box::new(lease))),
            Err(error) if error.code() == Some(409) => Ok(Look::HeldBy("another process".to_owned())),
            Err(error) => Err(error),
        }
    }

    /// Only ever over the version that was read, or the lease of another one could be written over.
    async fn write(&self, lease: &Lease) -> Result<Lease, CallError> {
        within(self.leases.replace(&self.name, &PostParams::default(), lease)).await
    }

    fn failed(&self, error: &CallError) {
        self.metrics.failed("lease");
        tracing::debug!("the lease cannot be had: {error}");
        // What else may be wrong with Kubernetes, readiness tells anyway.
        if error.is_refused() {
            let reason = format!(
                "the Lease {} may not be used; check the role and its binding, or set LEADER_ELECTION=false for a single \
                 process",
                self.name
            );
            self.readiness.missing(NEED, reason);
        }
    }

    fn leadership(&self, lease: Lease, since: Instant) -> Leadership {
        let (lost, release) = (CancellationToken::new(), CancellationToken::new());
        self.metrics.leader.set(1);
        let keeper = tokio::spawn(self.clone().keep(lease, since, lost.clone(), release.clone()));
        Leadership {
            lost,
            release,
            keeper: Some(keeper),
        }
    }

    /// Renews the lease until it is to be released, or could not be renewed for too long.
    async fn keep(
        self,
        mut lease: Lease,
        mut renewed: Instant,
        lost: CancellationToken,
        release: CancellationToken,
    ) {
        // Whatever ends this task ends the leadership.
        let _lost = lost.drop_guard();
        let mut next = renewed + RENEW_EVERY;
        loop {
            tokio::select! {
                () = sleep_until(next) => {}
                () = release.cancelled() => break,
            }
            let give_up = renewed + GIVE_UP_AFTER;
            let began = Instant::now();
            match timeout_at(give_up.min(began + RETRY), self.renew(&mut lease)).await {
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
                    tracing::debug!("the lease is not renewed: {error}");
                }
                Err(_) => self.metrics.failed("lease"),
            }
            if Instant::now() >= give_up {
                tracing::warn!("the lease could not be renewed in time");
                self.metrics.leader.set(0);
                return;
            }
            next = give_up.min(began + RETRY);
        }
        self.metrics.leader.set(0);
        if let Err(error) = self.write(&lease::released(lease, Timestamp::now())).await {
            tracing::debug!("the lease is not released: {error}");
        }
    }

    /// Whether the lease is still ours, and renewed.
    async fn renew(&self, lease: &mut Lease) -> Result<bool, CallError> {
        match self.write(&lease::renewed(lease.clone(), Timestamp::now())).await {
            Ok(written) => {
                *lease = written;
                return Ok(true);
            }
            Err(error) if error.code() == Some(409) => {}
            Err(error) => return Err(error),
        }
        // Somebody else has written it: another leader; somebody who only set a label; or this process, whose write got
        // through though its answer did not.
        let found = within(self.leases.get(&self.name)).await?;
        if holder(&found) != &*self.me {
            return Ok(false);
        }
        *lease = self.write(&lease::renewed(found, Timestamp::now())).await?;
        Ok(true)
    }
}

impl Leadership {
    /// That of a process that takes part in no election.
    pub(crate) fn alone(metrics: &Metrics) -> Self {
        metrics.leader.set(1);
        Self {
            lost: CancellationToken::new(),
            release: CancellationToken::new(),
            keeper: None,
        }
    }

    /// Resolves when it is over.
    pub(crate) async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Lets another process lead at once.
    pub(crate) async fn release(self) {
        self.release.cancel();
        if let Some(keeper) = self.keeper
            && timeout(RETRY, keeper).await.is_err()
        {
            tracing::debug!("the lease is left to run out");
        }
    }
}

fn holder(lease: &Lease) -> &str {
    let spec = lease.spec.as_ref();
    spec.and_then(|spec| spec.holder_identity.as_deref())
        .unwrap_or_default()
}
