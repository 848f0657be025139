//! Whether all that the operator needs is there: looked at again and again, told in /readyz with reasons, and with one
//! log line a change. Nothing here ever ends the process: what is missing is waited for.

use std::time::Duration;

use crd::ArxivQuery;
use kube::{Api, api::ListParams};
use service::health::Readiness;
use storage::{PgPool, schema};
use tokio_util::sync::CancellationToken;

use crate::process::kubernetes::within;

/// How often what is missing is looked for.
const WHILE_MISSING: Duration = Duration::from_secs(1);
/// How often is looked whether all is still there.
const WHILE_READY: Duration = Duration::from_secs(10);
/// Kubernetes, as readiness names it.
const KUBERNETES: &str = "kubernetes";

/// What is needed.
pub(crate) struct Needs {
    /// All objects that this process is for.
    pub(crate) queries: Api<ArxivQuery>,
    /// The databases: their names for people, the pool, and what is needed of each.
    pub(crate) databases: Vec<(&'static str, PgPool, schema::Need)>,
}

impl Needs {
    /// Looks until it is stopped.
    pub(crate) async fn watch(self, readiness: Readiness, stop: CancellationToken) {
        let look_on = async {
            loop {
                self.look(&readiness).await;
                let pause = if readiness.is_ready() {
                    WHILE_READY
                } else {
                    WHILE_MISSING
                };
                tokio::time::sleep(pause).await;
            }
        };
        tokio::select! {
            () = look_on => {}
            () = stop.cancelled() => {}
        }
    }

    async fn look(&self, readiness: &Readiness) {
        let databases = self.databases.iter().map(|(name, pool, need)| async move {
            match schema::check(pool, *need).await {
                Ok(None) => readiness.fine(name),
                Ok(Some(reason)) => readiness.missing(name, reason),
                Err(error) => readiness.missing(name, error.to_string()),
            }
        });
        tokio::join!(self.kubernetes(readiness), futures::future::join_all(databases));
    }

    async fn kubernetes(&self, readiness: &Readiness) {
        let Err(error) = within(self.queries.list(&ListParams::default().limit(1))).await else {
            return readiness.fine(KUBERNETES);
        };
        let reason = match error.code() {
            Some(404) => {
                "the ArxivQuery resource is not installed; apply what `arxiv-operator crd` prints".to_owned()
            }
            Some(401) => "the credential is refused".to_owned(),
            Some(403) => {
                "listing ArxivQuery objects is not allowed; check the role and its binding".to_owned()
            }
            Some(code) => format!("the API server answers with status {code}"),
            None => "the API server does not answer".to_owned(),
        };
        readiness.missing(KUBERNETES, reason);
    }
}
