//! Requests to Kubernetes about single objects.

use std::time::Duration;

use crd::ArxivQuery;
use kube::{
    Api, Error,
    api::{DeleteParams, ListParams, ObjectList, PostParams, Preconditions},
};
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Semaphore;

use crate::jobs::orphans::OrphanQueue;
use crate::{
    error::Limit,
    error::{ApiError, Code},
};

/// Requests at once. Kubernetes' throughput peaks at 16; many more make it refuse requests and cut watches.
const MAX_IN_FLIGHT: usize = 64;
/// One request, and the wait for its turn before it. A create takes some 20 ms.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// A create is tried so often, under the same name.
const CREATE_TRIES: u32 = 3;
/// Between two tries; doubled after each.
const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// Kubernetes' own usual wait when it refuses a request for its rate.
const THROTTLED_PAUSE: Duration = Duration::from_secs(1);

/// What a request to Kubernetes may end in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KubernetesError {
    /// Kubernetes asks to slow down.
    #[error("Kubernetes asks to slow down")]
    Throttled { retry_after: Duration },
    /// Kubernetes, by schema, rule or policy, does not take this object.
    #[error("Kubernetes does not accept the object: {0}")]
    Rejected(String),
    /// An object of this name is there.
    #[error("an object of this name exists")]
    AlreadyExists,
    /// The list's snapshot is not kept any more.
    #[error("the list has expired")]
    Expired,
    /// Too many requests of this process are under way; this one was not sent.
    #[error("too many requests to Kubernetes are under way")]
    Crowded,
    /// There was no answer in time, after the request may have been sent.
    #[error("Kubernetes did not answer in time")]
    TimedOut,
    /// Everything else: no connection, a server error, a missing right or CRD.
    #[error("Kubernetes is not available")]
    Away(#[source] Error),
}

impl KubernetesError {
    /// Whether what was asked for may have happened nevertheless.
    fn is_uncertain(&self) -> bool {
        match self {
            Self::TimedOut => true,
            Self::Away(Error::Service(cause)) => !is_connect(cause.as_ref()),
            Self::Away(Error::Api(status)) => status.code >= 500,
            Self::Away(error) => !matches!(error, Error::BuildRequest(_) | Error::Auth(_)),
            Self::Throttled { .. }
            | Self::Rejected(_)
            | Self::AlreadyExists
            | Self::Expired
            | Self::Crowded => false,
        }
    }

    fn is_worth_another_try(&self) -> bool {
        match self {
            Self::Away(Error::Api(status)) => status.code >= 500,
            Self::TimedOut | Self::Away(_) => true,
            Self::Throttled { .. }
            | Self::Rejected(_)
            | Self::AlreadyExists
            | Self::Expired
            | Self::Crowded => false,
        }
    }
}

/// Whether no connection came about, so that nothing was sent.
fn is_connect(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| {
        error
            .downcast_ref::<hyper_util::client::legacy::Error>()
            .is_some_and(hyper_util::client::legacy::Error::is_connect)
    })
}

impl From<Error> for KubernetesError {
    fn from(error: Error) -> Self {
        match &error {
            Error::Api(status) => match (status.code, status.reason.as_str()) {
                (429, _) => {
                    let told = status
                        .details
                        .as_ref()
                        .map_or(0, |details| details.retry_after_seconds);
                    let told = Duration::from_secs(told.into());
                    Self::Throttled {
                        retry_after: told.max(THROTTLED_PAUSE),
                    }
                }
                (409, "AlreadyExists") => Self::AlreadyExists,
                (410, _) => Self::Expired,
                (400 | 422, _) => Self::Rejected(causes(status)),
                _ => Self::Away(error),
            },
            _ => Self::Away(error),
        }
    }
}

/// The rules' own messages; the whole text names types and paths that a caller did not write.
fn causes(status: &kube::core::Status) -> String {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let messages: Vec<_> = causes
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .collect();
    messages.join("; ")
}

impl From<KubernetesError> for ApiError {
    fn from(error: KubernetesError) -> Self {
        match error {
            KubernetesError::Throttled { retry_after } => {
                Self::new(Code::KubernetesBusy, "Too many requests, try again later")
                    .retry_after(retry_after)
                    .bound(Limit::Kubernetes)
            }
            KubernetesError::Rejected(reason) => {
                Self::new(Code::NotAdmitted, format!("The search is not accepted: {reason}"))
            }
            other => {
                tracing::warn!(
                    error = &other as &dyn std::error::Error,
                    "a request to Kubernetes failed"
                );
                Self::unavailable(match other {
                    KubernetesError::Crowded => Code::Overloaded,
                    _ => Code::KubernetesUnavailable,
                })
            }
        }
    }
}

/// The objects of one namespace.
pub(crate) struct Objects {
    api: Api<ArxivQuery>,
    permits: Semaphore,
    in_flight: Gauge,
    orphans: OrphanQueue,
}

impl Objects {
    pub(crate) fn new(api: Api<ArxivQuery>, in_flight: Gauge, orphans: OrphanQueue) -> Self {
        Self {
            api,
            permits: Semaphore::new(MAX_IN_FLIGHT),
            in_flight,
            orphans,
        }
    }

    /// Makes an object whose name nobody else chooses: so "already exists" on a second try means that the first one
    /// made it. If in the end nobody knows whether it was made, and it is `unnamed` to its caller, who is told that it was
    /// not, it is removed as soon as Kubernetes answers.
    pub(crate) async fn create(
        &self,
        object: &ArxivQuery,
        unnamed: bool,
    ) -> Result<ArxivQuery, KubernetesError> {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let mut uncertain = false;
        let mut pause = RETRY_PAUSE;
        for tries_left in (0..CREATE_TRIES).rev() {
            let error = match self
                .request(self.api.create(&PostParams::default(), object))
                .await
            {
                Ok(created) => return Ok(created),
                Err(KubernetesError::AlreadyExists) if uncertain => {
                    return Ok(self.get(name).await?.unwrap_or_else(|| object.clone()));
                }
                Err(error) => error,
            };
            uncertain |= error.is_uncertain();
            if tries_left == 0 || !error.is_worth_another_try() {
                if uncertain && unnamed {
                    self.orphans.schedule_delete(name);
                }
                return Err(error);
            }
            tracing::info!(
                error = &error as &dyn std::error::Error,
                name,
                "creating the object again"
            );
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Err(KubernetesError::TimedOut)
    }

    /// The object of this name, if there is one.
    pub(crate) async fn get(&self, name: &str) -> Result<Option<ArxivQuery>, KubernetesError> {
        self.request(self.api.get_opt(name)).await
    }

    /// One page of the objects that a field selector selects.
    pub(crate) async fn list(
        &self,
        selector: Option<&str>,
        limit: u32,
        token: Option<&str>,
    ) -> Result<ObjectList<ArxivQuery>, KubernetesError> {
        let mut params = ListParams::default().limit(limit);
        params.field_selector = selector.map(str::to_owned);
        params.continue_token = token.map(str::to_owned);
        self.request(self.api.list(&params)).await
    }

    /// Removes the object of this name; false if there was none. One made anew under the name meanwhile stays.
    pub(crate) async fn delete(&self, name: &str) -> Result<bool, KubernetesError> {
        let Some(object) = self.get(name).await? else {
            return Ok(false);
        };
        let preconditions = Preconditions {
            uid: object.metadata.uid,
            resource_version: None,
        };
        let params = DeleteParams {
            preconditions: Some(preconditions),
            ..DeleteParams::default()
        };
        match self
            .request(async { self.api.delete(name, &params).await.map(|_| ()) })
            .await
        {
            Ok(()) => Ok(true),
            Err(KubernetesError::Away(Error::Api(status))) if matches!(status.code, 404 | 409) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn request<T>(
        &self,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, KubernetesError> {
        let permit = tokio::time::timeout(REQUEST_TIMEOUT, self.permits.acquire()).await;
        let _permit = permit.map_err(|_| KubernetesError::Crowded)?;
        let _counted = Counted::new(&self.in_flight);
        let answer = tokio::time::timeout(REQUEST_TIMEOUT, request).await;
        answer
            .map_err(|_| KubernetesError::TimedOut)?
            .map_err(KubernetesError::from)
    }
}

/// Counts as long as it lives.
pub(crate) struct Counted(Gauge);

impl Counted {
    pub(crate) fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
