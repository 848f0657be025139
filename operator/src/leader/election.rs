//! Leader election: of several processes one works, the others wait in standby. It only saves work and
//! requests: the databases keep numbers, rows and requests correct, however many processes believe that they
//! lead.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, api::PostParams};
use service::health::{NeedState, Readiness};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::lease::{self, GIVE_UP_AFTER, RENEW_EVERY, Seen, holder};
use crate::process::{
    dependencies::Dependencies,
    kubernetes::{CallError, within},
    metrics::{Leads, Metrics},
    settings::RunArgs,
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
    name: String,
    /// Unique for each start of a process.
    identity: Arc<str>,
    readiness: Readiness,
    metrics: Metrics,
}

/// The time as the leader. It ends when `lost` is cancelled.
#[derive(Default)]
pub(crate) struct Leadership {
    lost: CancellationToken,
    release: CancellationToken,
    renewal: Option<JoinHandle<()>>,
    /// Of a process that takes part in no election.
    _always: Option<Leads>,
}

/// The result of one check of the lease.
enum Attempt {
    Acquired(Box<Lease>),
    HeldBy(String),
}

impl Election {
    pub(crate) fn new(args: &RunArgs, with: &Dependencies, readiness: Readiness) -> Self {
        // By default the watched namespace, if it is one: this process has its rights there, and processes that
        // watch other namespaces have leases of their own.
        let namespace = args.lease_namespace.as_deref().or(args.watch_namespace.only());
        let namespace = namespace.unwrap_or(with.client.default_namespace());
        // In a pod, the pod's name.
        let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "arxiv-operator".to_owned());
        Self {
            leases: Api::namespaced(with.client.clone(), namespace),
            name: lease::name(&args.lease_name, &args.class_name),
            identity: format!("{host}_{}", Uuid::new_v4()).into(),
            readiness,
            metrics: with.metrics.clone(),
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
                let lease = lease::taken(lease, &self.identity, Timestamp::now());
                self.write(&lease).await
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
        // Other failures of Kubernetes are shown by its own readiness condition.
        if error.is_refused() {
            let reason = format!(
                "the Lease {} may not be used; check the role and its binding, or set LEADER_ELECTION=false for a single \
                 process",
                self.name
            );
            self.readiness.set(CONDITION, NeedState::because(reason, error));
        }
    }

    fn lead(&self, lease: Lease, since: Instant) -> Leadership {
        let mut leadership = Leadership::default();
        let (lost, release) = (leadership.lost.clone(), leadership.release.clone());
        let counted = self.metrics.leads();
        let election = self.clone();
        leadership.renewal = Some(tokio::spawn(async move {
            // The end of this task, by whatever cause, ends the leadership.
            let _lost = lost.drop_guard();
            let lease = election.renew_until(release, lease, since).await;
            drop(counted);
            if let Some(lease) = lease
                && let Err(error) = election.write(&lease::released(lease, Timestamp::now())).await
            {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the lease was not released");
            }
        }));
        leadership
    }

    /// Renews the lease; returns it when it is to be released, and nothing when it was taken by another
    /// process or not renewed in time.
    async fn renew_until(
        &self,
        release: CancellationToken,
        mut lease: Lease,
        mut renewed: Instant,
    ) -> Option<Lease> {
        let mut next = renewed + RENEW_EVERY;
        loop {
            tokio::select! {
                () = sleep_until(next) => {}
                () = release.cancelled() => return Some(lease),
            }
            let give_up = renewed + GIVE_UP_AFTER;
            let began = Instant::now();
            match timeout_at(give_up.min(began + RENEW_RETRY), self.renew(&mut lease)).await {
                Ok(Ok(true)) => {
                    (renewed, next) = (began, began + RENEW_EVERY);
                    continue;
                }
                Ok(Ok(false)) => {
                    tracing::warn!("another process took the lease");
                    return None;
                }
                Ok(Err(error)) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "the lease was not renewed");
                }
                Err(_) => {}
            }
            self.metrics.failed("lease");
            if Instant::now() >= give_up {
                tracing::warn!("the lease could not be renewed in time");
                return None;
            }
            next = give_up.min(began + RENEW_RETRY);
        }
    }

    /// Renews the lease; returns whether it is still ours.
    async fn renew(&self, lease: &mut Lease) -> Result<bool, CallError> {
        let mut written = self.write(&lease::renewed(lease.clone(), Timestamp::now())).await;
        if matches!(&written, Err(error) if error.code() == Some(409)) {
            // It has changed: by another leader; by a person who set a label; or by this process, whose last
            // write succeeded although its answer was lost.
            let found = within(self.leases.get(&self.name)).await?;
            if holder(&found) != &*self.identity {
                return Ok(false);
            }
            written = self.write(&lease::renewed(found, Timestamp::now())).await;
        }
        *lease = written?;
        Ok(true)
    }
}

impl Leadership {
    /// The leadership of a process that takes part in no election.
    pub(crate) fn without_election(metrics: &Metrics) -> Self {
        Self {
            _always: Some(metrics.leads()),
            ..Self::default()
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
