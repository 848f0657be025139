//! Calls to the API server of Kubernetes: clients and calls have time limits, errors are classified by what the caller
//! can do about them, and an object is deleted only as it was seen.

use std::{fmt::Debug, iter::successors, time::Duration};

use kube::{
    Api, Client, Config, Error, Resource,
    api::{DeleteParams, Preconditions},
    client::ClientBuilder,
    config::InferConfigError,
    core::request,
};
use serde::{Serialize, de::DeserializeOwned};

mod revisions;
#[cfg(test)]
mod tests;
mod timing;

pub use revisions::{Restores, Revisions};

/// Adds what this process sees of the API server to its metrics.
pub fn register_metrics(metrics: &metrics::Metrics) {
    timing::register_metrics(metrics);
    revisions::register_metrics(metrics);
}

/// A client that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Neither a kubeconfig nor a service account.
    #[error("no Kubernetes configuration: set KUBECONFIG, or run in a pod with a ServiceAccount")]
    NoConfiguration(#[source] Box<InferConfigError>),
    /// The configuration is there and cannot be used.
    #[error("the Kubernetes configuration cannot be used")]
    Unusable(#[source] Error),
}

/// A client by the rules of `kubectl` (`KUBECONFIG`, or the pod's service account), with changes to its configuration.
/// Connects when first used.
pub async fn client(configure: impl FnOnce(&mut Config)) -> Result<Client, ClientError> {
    let config = Config::infer().await;
    let mut config = config.map_err(|error| ClientError::NoConfiguration(Box::new(error)))?;
    configure(&mut config);
    let builder = ClientBuilder::try_from(config).map_err(ClientError::Unusable)?;
    Ok(builder.with_layer(&timing::Timing).build())
}

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// An error of the client, or an error that the server answered.
    #[error(transparent)]
    Call(#[from] Error),
    /// The server did not answer in time; it may have got the call.
    #[error("no answer in {0:?}")]
    TimedOut(Duration),
}

impl CallError {
    /// The HTTP status, if the server answered.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Call(Error::Api(status)) => Some(status.code),
            _ => None,
        }
    }

    /// Whether the server understood the call and will refuse it again.
    pub fn is_refused(&self) -> bool {
        self.code()
            .is_some_and(|code| (400..500).contains(&code) && code != 429 && code != 408)
    }

    /// Whether the call may have taken effect nevertheless.
    pub fn is_uncertain(&self) -> bool {
        match self {
            Self::TimedOut(_) => true,
            Self::Call(Error::Service(cause)) => !is_connect(cause.as_ref()),
            Self::Call(Error::Api(status)) => status.code >= 500,
            Self::Call(error) => !matches!(error, Error::BuildRequest(_) | Error::Auth(_)),
        }
    }

    /// Whether the same call may succeed soon. Not where the server asks to slow down: that takes longer.
    pub fn is_transient(&self) -> bool {
        self.code().is_none_or(|code| code >= 500)
    }
}

/// Whether no connection came about, so that nothing was sent.
fn is_connect(error: &(dyn std::error::Error + 'static)) -> bool {
    successors(Some(error), |error| error.source()).any(|error| {
        error
            .downcast_ref::<hyper_util::client::legacy::Error>()
            .is_some_and(hyper_util::client::legacy::Error::is_connect)
    })
}

/// A call that takes `limit` at most.
pub async fn within<T>(limit: Duration, call: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    match tokio::time::timeout(limit, call).await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(CallError::TimedOut(limit)),
    }
}

/// Creates an object, which may be of another type than the answer.
///
/// Kubernetes drops fields that the schema does not have. By default it also looks for them and for duplicates, to warn of them,
/// which takes more time, and nobody reads its warnings.
pub async fn create<K>(objects: &Api<K>, object: &impl Serialize) -> kube::Result<K>
where
    K: Clone + DeserializeOwned + Debug + Resource,
{
    let body = serde_json::to_vec(object).map_err(Error::SerdeError)?;
    let request = http::Request::post(format!("{}?fieldValidation=Ignore", objects.resource_url()))
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(body);
    let request = request.map_err(|error| Error::BuildRequest(request::Error::BuildRequest(error)))?;
    objects.clone().into_client().request(request).await
}

/// Deletes the object of this name if it still meets the preconditions; false if it does not, or is gone. An object
/// that was created under the same name since has another uid, and stays.
pub async fn delete_exact<K: Resource + Clone + DeserializeOwned + Debug>(
    objects: &Api<K>,
    name: &str,
    preconditions: Preconditions,
    limit: Duration,
) -> Result<bool, CallError> {
    let parameters = DeleteParams {
        preconditions: Some(preconditions),
        ..DeleteParams::default()
    };
    match within(limit, objects.delete(name, &parameters)).await {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.code(), Some(404 | 409)) => Ok(false),
        Err(error) => Err(error),
    }
}
