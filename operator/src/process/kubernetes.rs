//! Calls to Kubernetes, with the time limits of this process.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

pub(crate) use cluster::CallError;
use cluster::Revisions;
use crd::QueryWithoutManagedFields;
use kube::{Api, Client, api::ListParams, core::ListMeta};
use service::health::NeedState;

/// No single call takes longer, or the server counts as unavailable.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a watch lasts before it is started again from where it was.
pub(crate) const WATCH_SECONDS: u32 = 120;

/// A call with its time limit.
pub(crate) async fn within<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    cluster::within(CALL_TIMEOUT, call).await
}

/// The client of this process.
pub(crate) async fn client() -> Result<Client, cluster::ClientError> {
    // A watch may be silent while it lasts.
    let silence = Duration::from_secs(u64::from(WATCH_SECONDS) + 30);
    cluster::client(|config| config.read_timeout = Some(silence)).await
}

/// Checks Kubernetes for this process.
#[derive(Clone)]
pub(crate) struct Check {
    pub(crate) watched: Vec<Api<QueryWithoutManagedFields>>,
    pub(crate) of_class: String,
    pub(crate) revisions: Revisions,
    /// Whether the installed resource can be selected by class.
    pub(crate) has_classes: Arc<AtomicBool>,
}

impl Check {
    /// Whether Kubernetes can be used for all that is watched, otherwise why not. Notices a restored database.
    pub(crate) async fn run(self) -> NeedState {
        let highest = self.revisions.highest();
        for queries in &self.watched {
            match self.list(queries).await {
                Ok(listed) => {
                    self.revisions.check(highest, &listed);
                }
                Err(error) => return explain(&error, queries.namespace()),
            }
        }
        NeedState::Ready
    }

    /// Lists one of the objects that this process works on.
    async fn list(&self, queries: &Api<QueryWithoutManagedFields>) -> Result<ListMeta, CallError> {
        let one = ListParams::default().limit(1);
        let listed = within(queries.list(&one)).await?;
        if !self.has_classes.load(Ordering::Relaxed) {
            // A list with a selector takes much longer, so it is tried once.
            match within(queries.list(&one.fields(&self.of_class))).await {
                Ok(_) => self.has_classes.store(true, Ordering::Relaxed),
                // While Kubernetes fills its cache it refuses lists with a selector, and can do all the rest.
                Err(error) if error.code() == Some(429) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(listed.metadata)
    }
}

fn explain(error: &CallError, namespace: Option<&str>) -> NeedState {
    let place = namespace
        .map(|name| format!(" in namespace {name}"))
        .unwrap_or_default();
    let reason = match error.code() {
        Some(404) => "the ArxivQuery resource is not installed; apply what `arxiv-operator crd` prints",
        Some(400) => {
            "the ArxivQuery resource is that of an earlier version; apply what `arxiv-operator crd` prints"
        }
        Some(401) => "the credential is refused",
        Some(403) => {
            &format!("listing ArxivQuery objects{place} is not allowed; check the role and its binding")
        }
        Some(code) => &format!("the API server answers with status {code}"),
        None => "the API server does not answer",
    };
    NeedState::because(reason, error)
}
