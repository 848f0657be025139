//! Clients.

use std::time::Duration;

use kube::{Client, Config, config::InferConfigError};

/// Time limits of a client's connections.
#[derive(Clone, Copy, Debug)]
pub struct ClientSettings {
    /// To connect; the library's own limit (30 s) if none.
    pub connect_timeout: Option<Duration>,
    /// A connection that has been silent for longer is dead. Longer than a watch, which may be silent while it lasts.
    pub read_timeout: Duration,
    /// Whether the library repeats requests that were refused for their rate or failed in the server. Off where the
    /// caller reports such errors, or tries again by itself.
    pub retry: bool,
}

/// A client that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Neither a kubeconfig nor a service account.
    #[error("no Kubernetes configuration: set KUBECONFIG, or run in a pod with a ServiceAccount")]
    NoConfiguration(#[source] Box<InferConfigError>),
    /// The configuration is there and cannot be used.
    #[error("the Kubernetes configuration cannot be used")]
    Unusable(#[source] kube::Error),
}

/// A client by the rules of `kubectl`: `KUBECONFIG`, or the pod's service account. Connects when first used.
pub async fn client(settings: ClientSettings) -> Result<Client, ClientError> {
    let config = Config::infer().await;
    let mut config = config.map_err(|error| ClientError::NoConfiguration(Box::new(error)))?;
    if settings.connect_timeout.is_some() {
        config.connect_timeout = settings.connect_timeout;
    }
    config.read_timeout = Some(settings.read_timeout);
    config.default_retry = settings.retry;
    Client::try_from(config).map_err(ClientError::Unusable)
}
