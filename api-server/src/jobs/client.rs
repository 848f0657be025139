//! Requests to Kubernetes about single objects.

use std::time::Duration;

use cluster::{CallError, delete_exact, within};
use crd::{ArxivQuery, DEFAULT_CLASS, QueryWithoutManagedFields, class_selector};
use kube::{
    Api, Error,
    api::{DeleteParams, ListParams, ObjectList, Preconditions},
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

/// The longest text of a policy or a quota that is passed on, in characters.
const MAX_WORDS: usize = 512;
/// A quota is free again when queries are deleted, which nobody can foresee.
const QUOTA_RETRY_AFTER: Duration = Duration::from_mins(1);

/// A failed request to Kubernetes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KubernetesError {
    #[error("Kubernetes asks to slow down")]
    Throttled { retry_after: Duration },
    /// By its schema, a rule, a policy or a webhook.
    #[error("Kubernetes does not accept the object: {0}")]
    Rejected(String),
    /// By a `ResourceQuota`.
    #[error("a quota of Kubernetes is used up: {0}")]
    QuotaExceeded(String),
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
    /// Somebody else's, which is not replaced.
    #[error("`{0}` in the Secret for the labels of clients has fewer than 32 bytes")]
    ShortClientKey(&'static str),
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
        if let Some(refusal) = refusal(status) {
            return refusal;
        }
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

/// What admission refused, after the request was authenticated and authorized. It answers with any status: policies and
/// webhooks choose one, and a quota shares 403 with a missing right.
fn refusal(status: &kube::core::Status) -> Option<KubernetesError> {
    let after = |mark: &str| Some(status.message.split_once(mark)?.1);
    let words = |text: &str| text.trim().chars().take(MAX_WORDS).collect();
    if !(400..500).contains(&status.code) {
        return None;
    }
    // ValidatingAdmissionPolicy 'P' with binding 'B' denied request: WORDS; admission webhook "W" denied the request: WORDS
    if let Some(denied) = after(" denied request: ").or_else(|| after(" denied the request: ")) {
        return Some(KubernetesError::Rejected(words(denied)));
    }
    // arxivqueries.arxiv-operator.dev "NAME" is forbidden: WORDS
    let forbidden = after(" is forbidden: ").filter(|_| status.code == 403)?;
    if forbidden.starts_with("exceeded quota: ") || forbidden.starts_with("status unknown for quota: ") {
        return Some(KubernetesError::QuotaExceeded(words(forbidden)));
    }
    let is_missing_right = forbidden.starts_with("User ") && forbidden.contains(" cannot ");
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    let is_ending_namespace = causes.any(|cause| cause.reason == "NamespaceTerminating");
    (!is_missing_right && !is_ending_namespace).then(|| KubernetesError::Rejected(words(forbidden)))
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
            KubernetesError::Rejected(reason) => Self::new(
                Code::NotAdmitted,
                format!("Kubernetes does not admit this: {reason}"),
            ),
            KubernetesError::QuotaExceeded(words) => {
                let text = format!("Kubernetes does not admit this now: {words}");
                Self::new(Code::QuotaExceeded, text).retry_after(QUOTA_RETRY_AFTER)
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

/// The objects of one class in one namespace. `client`: the client for which a request is sent.
pub(crate) struct Objects {
    api: Api<QueryWithoutManagedFields>,
    class: String,
    slots: Slots,
    /// The names of objects that may exist although their callers got an error. That is final for the caller, so the
    /// objects are deleted as soon as Kubernetes responds again.
    orphans: mpsc::Sender<String>,
}

impl Objects {
    /// The receiver is for [`delete_orphans`].
    pub(crate) fn new(
        api: Api<QueryWithoutManagedFields>,
        class: String,
        slots: Slots,
    ) -> (Self, mpsc::Receiver<String>) {
        let (orphans, names) = mpsc::channel(MAX_ORPHANS);
        let objects = Self {
            api,
            class,
            slots,
            orphans,
        };
        (objects, names)
    }

    /// What `spec.className` is in these objects.
    pub(crate) fn class_name(&self) -> Option<String> {
        Some(self.class.clone()).filter(|class| class != DEFAULT_CLASS)
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
        loop {
            tries += 1;
            let create = cluster::create(&self.api, object);
            let error = match self.request(client, within(REQUEST_TIMEOUT, create)).await {
                Ok(created) => return Ok(created.into()),
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
        let get = within(REQUEST_TIMEOUT, self.api.get_opt(name));
        let found = self.request(client, get).await?.map(ArxivQuery::from);
        Ok(found.filter(|object| object.spec.class_name.as_deref().unwrap_or(DEFAULT_CLASS) == self.class))
    }

    /// One page of the objects, of those that a field selector selects.
    pub(crate) async fn list(
        &self,
        client: &Client,
        selector: Option<&str>,
        limit: u32,
        token: Option<&str>,
    ) -> Result<ObjectList<ArxivQuery>> {
        let mut params = ListParams::default().limit(limit);
        let of_class = class_selector(&self.class);
        params.field_selector =
            Some(selector.map_or(of_class.clone(), |selector| format!("{selector},{of_class}")));
        params.continue_token = token.map(str::to_owned);
        let list = within(REQUEST_TIMEOUT, self.api.list(&params));
        let listed = self.request(client, list).await?;
        Ok(ObjectList {
            types: listed.types,
            metadata: listed.metadata,
            items: listed.items.into_iter().map(ArxivQuery::from).collect(),
        })
    }

    /// Deletes this object; false if it does not exist any more, or its deletion has begun already. One that is created
    /// under its name meanwhile stays.
    pub(crate) async fn delete(&self, client: &Client, object: &ArxivQuery) -> Result<bool> {
        if object.is_being_deleted() {
            return Ok(false);
        }
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

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use kube::core::Status;

    use super::*;

    /// Status, code and text of the response to a failed create.
    fn response(code: u16, reason: &str, message: &str) -> (u16, Code, String) {
        let status = Status {
            code,
            reason: reason.to_owned(),
            message: message.to_owned(),
            ..Status::default()
        };
        let call = CallError::Call(Error::Api(Box::new(status)));
        let error = ApiError::from(KubernetesError::from(call));
        let (code, text) = (error.code(), error.body()["detail"].as_str().unwrap().to_owned());
        (error.into_response().status().as_u16(), code, text)
    }

    #[test]
    fn refusal_by_admission_has_its_words_and_what_is_unavailable_is_503() {
        let object = r#"arxivqueries.arxiv-operator.dev "arxiv-1" is forbidden: "#;
        let user = r#"arxivqueries.arxiv-operator.dev is forbidden: User "system:serviceaccount:a:b" cannot create resource "arxivqueries" in API group "arxiv-operator.dev" in the namespace "a""#;
        let policy = "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no tuesdays";
        let webhook = r#"admission webhook "w.example.org" denied the request: no tuesdays"#;
        let quota = "exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1";
        let late = "status unknown for quota: q, resources: pods";
        #[rustfmt::skip]
        let cases = [
            (422, "Invalid", format!("ArxivQuery.arxiv-operator.dev \"a\" is invalid: : {policy}"), 422, Code::NotAdmitted, "no tuesdays"),
            (403, "Forbidden", format!("{object}{policy}"), 422, Code::NotAdmitted, "no tuesdays"),
            (401, "Unauthorized", format!("{object}{policy}"), 422, Code::NotAdmitted, "no tuesdays"),
            (413, "RequestEntityTooLarge", format!("{object}{policy}"), 422, Code::NotAdmitted, "no tuesdays"),
            (403, "Forbidden", webhook.to_owned(), 422, Code::NotAdmitted, "no tuesdays"),
            (429, "", webhook.to_owned(), 422, Code::NotAdmitted, "no tuesdays"),
            (403, "Forbidden", format!("{object}not today"), 422, Code::NotAdmitted, "not today"),
            (403, "Forbidden", format!("{object}{quota}"), 429, Code::QuotaExceeded, quota),
            (403, "Forbidden", format!("{object}{late}"), 429, Code::QuotaExceeded, late),
            (403, "Forbidden", user.to_owned(), 503, Code::KubernetesUnavailable, ""),
            (401, "Unauthorized", "Unauthorized".to_owned(), 503, Code::KubernetesUnavailable, ""),
            (429, "TooManyRequests", "too many requests".to_owned(), 429, Code::KubernetesBusy, ""),
            (500, "InternalError", "failed calling webhook \"w\"".to_owned(), 503, Code::KubernetesUnavailable, ""),
        ];
        for (given, reason, message, status, code, words) in cases {
            let (answered, answer, text) = response(given, reason, &message);
            assert_eq!((answered, answer), (status, code), "{given} {message}: {text}");
            assert!(text.ends_with(words), "{message}: {text}");
            assert!(!text.contains("serviceaccount"), "{text}");
        }
        let long = response(403, "Forbidden", &format!("{object}{}", "x".repeat(5_000)));
        assert!(long.2.len() < 600);
    }
}
