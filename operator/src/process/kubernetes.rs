//! Calls to Kubernetes, with the time limits of this process.

use std::time::Duration;

use crd::ArxivQuery;
use kube::{Api, Client, api::ListParams};
use service::health::NeedState;

pub(crate) use cluster::CallError;

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

/// Whether Kubernetes can be used: lists one of the objects that this process works on.
pub(crate) async fn check(queries: Api<ArxivQuery>) -> NeedState {
    let Err(error) = within(queries.list(&ListParams::default().limit(1))).await else {
        return NeedState::Ready;
    };
    let reason = match error.code() {
        Some(404) => "the ArxivQuery resource is not installed; apply what `arxiv-operator crd` prints",
        Some(401) => "the credential is refused",
        Some(403) => "listing ArxivQuery objects is not allowed; check the role and its binding",
        Some(code) => &format!("the API server answers with status {code}"),
        None => "the API server does not answer",
    };
    NeedState::because(reason, &error)
}
