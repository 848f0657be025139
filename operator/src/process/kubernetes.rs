//! Calls to Kubernetes, with the time limits of this process.

use std::time::Duration;

pub(crate) use cluster::CallError;
use cluster::{ClientError, ClientSettings};
use kube::Client;

/// No single call takes longer, or the server counts as unavailable.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a watch lasts before it is started again from where it was.
pub(crate) const WATCH_SECONDS: u32 = 120;

/// A call with its time limit.
pub(crate) async fn within<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    cluster::within(CALL_TIMEOUT, call).await
}

/// The client of this process.
pub(crate) async fn client() -> Result<Client, ClientError> {
    let settings = ClientSettings {
        connect_timeout: None,
        read_timeout: Duration::from_secs(u64::from(WATCH_SECONDS) + 30),
        retry: true,
    };
    cluster::client(settings).await
}
