//! Calls to the API server of Kubernetes: each has a time limit, and its errors are told apart by what follows.

use std::{future::Future, time::Duration};

use kube::{Client, Config};

/// No single call takes longer, or the server is as good as away.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a watch lasts before it is begun anew from where it was.
pub(crate) const WATCH_SECONDS: u32 = 120;
/// A connection that has been silent for longer is dead. Longer than a watch, which may be silent while it lasts.
const READ_TIMEOUT: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 30);

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// An error of the client, or the server's answer that it is one.
    #[error(transparent)]
    Call(#[from] kube::Error),
    /// No answer came.
    #[error("no answer in {CALL_TIMEOUT:?}")]
    TimedOut,
}

impl CallError {
    /// The HTTP status, if the server answered.
    pub(crate) fn code(&self) -> Option<u16> {
        match self {
            Self::Call(kube::Error::Api(status)) => Some(status.code),
            _ => None,
        }
    }

    /// Whether the server understood the call and will refuse it again.
    pub(crate) fn is_refused(&self) -> bool {
        self.code()
            .is_some_and(|code| (400..500).contains(&code) && code != 429 && code != 408)
    }
}

/// A call with its time limit.
pub(crate) async fn within<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(CallError::TimedOut),
    }
}

/// A client by the rules of `kubectl`: `KUBECONFIG`, or the pod's service account.
pub(crate) async fn client() -> anyhow::Result<Client> {
    let mut config = Config::infer().await?;
    config.read_timeout = Some(READ_TIMEOUT);
    Ok(Client::try_from(config)?)
}
