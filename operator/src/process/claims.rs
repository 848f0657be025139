//! Claims: which installation runs the queries of a class in a namespace. An installation is its databases: two
//! processes with the same databases never do anything twice, two with different ones would run each query twice.
//!
//! A claim is a Lease in the namespace, of which only the holder counts: the id of the installation. It is taken once and
//! never expires, because nobody else can know which queries its holder has begun. A person hands over by deleting it.
//! An installation that watches all namespaces first needs the claim of the namespace `default`, which exists everywhere
//! and means all of them, so a second such installation does nothing at all.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{Api, Client, api::PostParams};
use service::health::{NeedState, Readiness};
use storage::{Records, StorageError};
use tokio::sync::{OnceCell, watch};
use uuid::Uuid;

use super::{
    kubernetes::{CallError, within},
    metrics::Metrics,
};

/// The namespace whose claim means all namespaces.
pub(crate) const FIRST: &str = "default";
/// The name of the readiness condition.
const CONDITION: &str = "class";
/// On a claim: where its holder runs, for people.
const RUNS_AT: &str = "arxiv-operator.dev/runs-at";
/// Namespaces that are remembered; each costs some hundred bytes.
const MAX_REMEMBERED: usize = 10_000;

/// The claims of this process's installation, as they were last read.
pub(crate) struct Claims {
    client: Client,
    records: Records,
    metrics: Metrics,
    readiness: Readiness,
    /// None where this process takes part in no election.
    lease: Option<String>,
    class: String,
    all_namespaces: bool,
    /// Where this process runs, for people.
    runs_at: String,
    installation: OnceCell<Uuid>,
    holders: Mutex<BTreeMap<String, Holder>>,
    lost: watch::Sender<bool>,
}

/// Who runs the queries of a namespace.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Holder {
    This,
    Another(String),
}

/// A claim that could not be read or taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClaimError {
    #[error("the id of this installation was not read")]
    Storage(#[from] StorageError),
    #[error("the claim was not read or taken")]
    Kubernetes(#[from] CallError),
}

/// What the claims depend on.
pub(crate) struct Scope {
    pub(crate) class: String,
    /// Whether claims are needed at all.
    pub(crate) enabled: bool,
    pub(crate) all_namespaces: bool,
}

impl Claims {
    pub(crate) fn new(
        client: &Client,
        records: &Records,
        metrics: &Metrics,
        readiness: &Readiness,
        scope: Scope,
    ) -> Self {
        let lease = match scope.class.as_str() {
            crd::DEFAULT_CLASS => "arxiv-operator-class".to_owned(),
            class => format!("arxiv-operator-class-{class}"),
        };
        let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "arxiv-operator".to_owned());
        Self {
            runs_at: format!("{}/{host}", client.default_namespace()),
            client: client.clone(),
            records: records.clone(),
            metrics: metrics.clone(),
            readiness: readiness.clone(),
            lease: scope.enabled.then_some(lease),
            class: scope.class,
            all_namespaces: scope.all_namespaces,
            installation: OnceCell::new(),
            holders: Mutex::default(),
            lost: watch::Sender::new(false),
        }
    }

    /// Whether this installation runs the queries of a namespace; it claims them if nobody has.
    pub(crate) async fn holds(&self, namespace: &str) -> Result<bool, ClaimError> {
        if self.all_namespaces && self.read_once(FIRST).await? != Holder::This {
            return Ok(false);
        }
        Ok(self.read_once(namespace).await? == Holder::This)
    }

    /// Whether it is known that another installation runs the queries of a namespace.
    pub(crate) fn is_anothers(&self, namespace: &str) -> bool {
        let holders = self.holders();
        let needed = self.first().into_iter().chain([namespace]);
        let mut holders = needed.filter_map(|namespace| holders.get(namespace));
        holders.any(|holder| *holder != Holder::This)
    }

    /// Reads the claims of these namespaces, which have work, again. Of other namespaces only those are remembered that
    /// another installation has: a claim of this one may be gone when there is work again.
    pub(crate) async fn refresh(&self, namespaces: &BTreeSet<String>) {
        self.holders()
            .retain(|namespace, holder| namespaces.contains(namespace) || *holder != Holder::This);
        let mut failure = None;
        for namespace in namespaces {
            if let Err(error) = self.read(namespace).await {
                failure = Some(error);
            }
        }
        self.report(failure);
    }

    /// The namespace whose claim is needed before any other.
    pub(crate) fn first(&self) -> Option<&'static str> {
        self.all_namespaces.then_some(FIRST)
    }

    /// Resolves when a claim of this installation has been taken by another one.
    pub(crate) async fn lost(&self) {
        // It fails when the sender is gone, which is this one.
        let _ = self.lost.subscribe().wait_for(|lost| *lost).await;
    }

    /// Forgets everything, when this process begins or ceases to work.
    pub(crate) fn forget(&self) {
        self.holders().clear();
        self.lost.send_replace(false);
        self.report(None);
    }

    async fn read_once(&self, namespace: &str) -> Result<Holder, ClaimError> {
        if self.lease.is_none() {
            return Ok(Holder::This);
        }
        let known = self.holders().get(namespace).cloned();
        match known {
            Some(holder) => Ok(holder),
            None => self.read(namespace).await,
        }
    }

    /// Reads the claim, and takes it if nobody has it.
    async fn read(&self, namespace: &str) -> Result<Holder, ClaimError> {
        let Some(name) = &self.lease else {
            return Ok(Holder::This);
        };
        let installation = self.installation.get_or_try_init(|| self.records.installation());
        let installation = installation.await?.to_string();
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), namespace);
        let lease = if let Some(lease) = within(leases.get_opt(name)).await? {
            lease
        } else {
            let claim = self.claim(name, &installation);
            match within(leases.create(&PostParams::default(), &claim)).await {
                Err(error) if error.code() == Some(409) => within(leases.get(name)).await?,
                created => created?,
            }
        };
        let holder = lease
            .spec
            .and_then(|spec| spec.holder_identity)
            .unwrap_or_default();
        let holder = if holder == installation {
            Holder::This
        } else {
            let runs_at = lease.metadata.annotations.and_then(|mut all| all.remove(RUNS_AT));
            Holder::Another(runs_at.unwrap_or(holder))
        };
        self.note(namespace, &holder);
        Ok(holder)
    }

    fn claim(&self, name: &str, installation: &str) -> Lease {
        let mut lease = Lease::default();
        lease.metadata.name = Some(name.to_owned());
        lease.metadata.annotations = Some([(RUNS_AT.to_owned(), self.runs_at.clone())].into());
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(installation.to_owned()),
            acquire_time: Some(MicroTime(Timestamp::now())),
            ..LeaseSpec::default()
        });
        lease
    }

    fn note(&self, namespace: &str, holder: &Holder) {
        let before = {
            let mut holders = self.holders();
            if holders.len() >= MAX_REMEMBERED && !holders.contains_key(namespace) {
                holders.clear();
            }
            holders.insert(namespace.to_owned(), holder.clone())
        };
        if before.as_ref() == Some(holder) {
            return;
        }
        match (holder, before) {
            (Holder::This, _) => tracing::info!(
                namespace,
                "this installation runs the queries of {}",
                self.words()
            ),
            (Holder::Another(other), before) => {
                tracing::warn!(namespace, "{}", self.explain(namespace, other));
                if before.is_some() {
                    self.lost.send_replace(true);
                }
            }
        }
        self.report(None);
    }

    /// What the metric and readiness say.
    fn report(&self, failure: Option<ClaimError>) {
        let (held, example) = {
            let holders = self.holders();
            let held = holders.values().filter(|holder| **holder == Holder::This).count();
            let mut others = holders.iter().filter_map(|(namespace, holder)| match holder {
                Holder::This => None,
                Holder::Another(other) => Some((namespace, other)),
            });
            // If another installation has all namespaces, that is what matters.
            let first = others
                .clone()
                .find(|(namespace, _)| self.first() == Some(namespace.as_str()));
            let example = first
                .or_else(|| others.next())
                .map(|(namespace, other)| self.explain(namespace, other));
            ((held, holders.len() - held), example)
        };
        self.metrics.claims(held.0, held.1);
        let state = match (failure, example) {
            (Some(ClaimError::Kubernetes(error)), _) if error.is_refused() => {
                let name = self.lease.as_deref().unwrap_or_default();
                let reason =
                    format!("the Lease {name} may not be read or created; check the role and its binding");
                NeedState::because(reason, &error)
            }
            (_, Some(explained)) => NeedState::Degraded(explained.into()),
            // Readiness shows an unavailable database or Kubernetes by itself.
            (_, None) => NeedState::Ready,
        };
        self.readiness.set(CONDITION, state);
    }

    fn explain(&self, namespace: &str, other: &str) -> String {
        let (words, lease) = (self.words(), self.lease.as_deref().unwrap_or_default());
        let place = match self.first() {
            Some(first) if first == namespace => "all namespaces".to_owned(),
            _ => format!("the namespace {namespace}"),
        };
        format!(
            "standby: the queries of {words} in {place} are run by another installation with other databases ({other}); give \
             one of them another class, or stop the other one and delete the Lease {lease} in the namespace {namespace}"
        )
    }

    fn words(&self) -> String {
        crd::class_words(&self.class)
    }

    fn holders(&self) -> MutexGuard<'_, BTreeMap<String, Holder>> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
