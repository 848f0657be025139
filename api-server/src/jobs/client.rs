//! Requests to Kubernetes about single objects.

use std::time::Duration;

use cluster::{CallError, delete_exact, within};
use crd::ArxivQuery;
use kube::{
    Api, Error,
    api::{DeleteParams, ListParams, ObjectList, PostParams, Preconditions},
};
use service::backoff::Backoff;
use tokio::{sync::mpsc, time::sleep};

use crate::{
    error::{ApiError, Code, Limit},
    limits::{client::Client, slots::Slots},
};

/// Timeout of one request, after the wait for its slot. A create takes some 20 ms.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a create is tried, under the same name.
const CREATE_TRIES: u32 = 3;
/// The delays between these tries.
const RETRY: Backoff = Backoff {
    base: Duration::from_millis(250),
    cap: Duration::from_secs(1),
};
/// Orphans that are remembered while Kubernetes is unavailable: at some hundred bytes each about a megabyte.
const MAX_ORPHANS: usize = 10_000;
/// The pause after a failed attempt to delete an orphan.
const ORPHAN_PAUSE: Duration = Duration::from_secs(2);
/// Kubernetes' own usual wait when it refuses a request for its rate.
const THROTTLED_PAUSE: Duration = Duration::from_secs(1);

/// A failed request to Kubernetes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KubernetesError {
    #[error("Kubernetes asks to slow down")]
    Throttled { retry_after: Duration },
    /// By its schema, a rule or a policy.
    #[error("Kubernetes does not accept the object: {0}")]
    Rejected(String),
    #[error("an object of this name exists")]
    AlreadyExists,
    /// The list's snapshot is not kept any more.
    #[error("the list has expired")]
    Expired,
    /// This one was not sent.
    #[error("too many requests to Kubernetes are under way")]
    Overloaded,
    /// The Secret with the key of clients' labels has none, and other processes keep writing it.
    #[error("there is no key for the labels of clients")]
    NoClientKey,
    /// Everything else: no answer in time, no connection, a server error, a missing right or CRD.
    #[error("Kubernetes is not available")]
    Unavailable(#[source] CallError),
}

type Result<T, E = KubernetesError> = std::result::Result<T, E>;

impl From<CallError> for KubernetesError {
    fn from(error: CallError) -> Self {
        let CallError::Call(Error::Api(status)) = &error else {
            return Self::Unavailable(error);
        };
        match (status.code, status.reason.as_str()) {
            (429, _) => {
                let details = status.details.as_ref();
                let seconds = details.map_or(0, |details| details.retry_after_seconds);
                Self::Throttled {
                    retry_after: Duration::from_secs(seconds.into()).max(THROTTLED_PAUSE),
                }
            }
            (409, "AlreadyExists") => Self::AlreadyExists,
            (410, _) => Self::Expired,
            (400 | 422, _) => Self::Rejected(causes(status)),
            _ => Self::Unavailable(error),
        }
    }
}

/// The rules' own messages; the whole text names types and paths that a caller did not write.
fn causes(status: &kube::core::Status) -> String {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let messages = causes.map(|cause| format!("{}: {}", cause.field, cause.message));
    messages.collect::<Vec<_>>().join("; ")
}

impl From<KubernetesError> for ApiError {
    fn from(error: KubernetesError) -> Self {
        match error {
            KubernetesError::Throttled { retry_after } => {
                Self::new(Code::KubernetesBusy, "Too many requests, try again later")
                    .retry_after(retry_after)
                    .limit(Limit::Kubernetes)
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
                    KubernetesError::Overloaded => Code::Overloaded,
                    _ => Code::KubernetesUnavailable,
                })
            }
        }
    }
}

/// The objects of one namespace. `client`: the client for which a request is sent.
pub(crate) struct Objects {
    api: Api<ArxivQuery>,
    slots: Slots,
    /// The names of objects that may exist although their callers got an error. That is final for the caller, so the
    /// objects are deleted as soon as Kubernetes responds again.
    orphans: mpsc::Sender<String>,
}

impl Objects {
    /// The receiver is for [`delete_orphans`].
    pub(crate) fn new(api: Api<ArxivQuery>, slots: Slots) -> (Self, mpsc::Receiver<String>) {
        let (orphans, names) = mpsc::channel(MAX_ORPHANS);
        (Self { api, slots, orphans }, names)
    }

    /// Creates an object whose name nobody else chooses: so "already exists" on a second try means that the first one
    /// created it. If it is unknown in the end whether it was created, and it is `unnamed` to its caller, who gets an
    /// error, it is deleted as soon as Kubernetes answers.
    pub(crate) async fn create(
        &self,
        client: &Client,
        object: &ArxivQuery,
        unnamed: bool,
    ) -> Result<ArxivQuery> {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let (mut tries, mut uncertain) = (0, false);
        let params = PostParams::default();
        loop {
            tries += 1;
            let create = self.api.create(&params, object);
            let error = match self.request(client, within(REQUEST_TIMEOUT, create)).await {
                Ok(created) => return Ok(created),
                Err(KubernetesError::AlreadyExists) if uncertain => {
                    return Ok(self.get(client, name).await?.unwrap_or_else(|| object.clone()));
                }
                Err(error) => error,
            };
            let failed = match &error {
                KubernetesError::Unavailable(call) => Some(call),
                _ => None,
            };
            uncertain |= failed.is_some_and(CallError::is_uncertain);
            if tries == CREATE_TRIES || !failed.is_some_and(CallError::is_transient) {
                if uncertain && unnamed && self.orphans.try_send(name.to_owned()).is_err() {
                    tracing::error!(
                        name,
                        "the orphan queue is full: this object may run although its caller got a 503"
                    );
                }
                return Err(error);
            }
            tracing::info!(
                error = &error as &dyn std::error::Error,
                name,
                "creating the object again"
            );
            sleep(RETRY.delay(tries)).await;
        }
    }

    /// The object of this name, if there is one.
    pub(crate) async fn get(&self, client: &Client, name: &str) -> Result<Option<ArxivQuery>> {
        self.request(client, within(REQUEST_TIMEOUT, self.api.get_opt(name)))
            .await
    }

    /// One page of the objects that a field selector selects.
    pub(crate) async fn list(
        &self,
        client: &Client,
        selector: Option<&str>,
        limit: u32,
        token: Option<&str>,
    ) -> Result<ObjectList<ArxivQuery>> {
        let mut params = ListParams::default().limit(limit);
        params.field_selector = selector.map(str::to_owned);
        params.continue_token = token.map(str::to_owned);
        self.request(client, within(REQUEST_TIMEOUT, self.api.list(&params)))
            .await
    }

    /// Deletes this object; false if it does not exist any more. One that is created under its name meanwhile stays.
    pub(crate) async fn delete(&self, client: &Client, object: &ArxivQuery) -> Result<bool> {
        let preconditions = Preconditions {
            uid: object.metadata.uid.clone(),
            resource_version: None,
        };
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let delete = delete_exact(&self.api, name, preconditions, REQUEST_TIMEOUT);
        self.request(client, delete).await
    }

    /// Sends a request when there is a slot for it.
    async fn request<T>(
        &self,
        client: &Client,
        request: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T> {
        let slot = self.slots.acquire(Some(client)).await;
        let _slot = slot.ok_or(KubernetesError::Overloaded)?;
        Ok(request.await?)
    }
}

/// Deletes orphans one after the other, each until Kubernetes has responded.
pub(crate) async fn delete_orphans(api: Api<ArxivQuery>, mut names: mpsc::Receiver<String>) {
    while let Some(name) = names.recv().await {
        loop {
            match within(REQUEST_TIMEOUT, api.delete(&name, &DeleteParams::default())).await {
                Ok(_) => {
                    service::notice!(
                        name,
                        "deleted an object whose caller got the response that it was not accepted"
                    );
                    break;
                }
                Err(error) if error.code() == Some(404) => break,
                Err(_) => sleep(ORPHAN_PAUSE).await,
            }
        }
    }
}
