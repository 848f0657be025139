//! Submitting a search: creates an `ArxivQuery`, at most once for each idempotency key, and waits for its completion.

use std::{sync::Arc, time::Duration};

use crd::{
    ArxivQuery, ArxivQuerySpec, CLIENT_LABEL, CLIENT_MARK_ANNOTATION, FailurePolicy, REQUEST_ANNOTATION,
};
use kube::ResourceExt;
use service::logs::Call;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;
use wire::root_path::RootPath;

use crate::{
    auth::correlation::Correlation,
    error::{ApiError, Code},
    jobs::backlog::Backlog,
    jobs::client::{KubernetesError, Objects},
    jobs::client_key::{ClientKey, Names},
    jobs::idempotency::{IdempotencyKey, hash},
    jobs::waiters::{Event, Waiter, Waiters},
    limits::client::Client,
};

/// How often the object of a key is created if somebody deletes it between the create and the read.
const MAX_CREATE_ATTEMPTS: u32 = 3;

/// Creates queries for /arxiv.
pub(crate) struct QuerySubmitter {
    pub(crate) objects: Arc<Objects>,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) backlog: Arc<Backlog>,
    /// Of the labels by which objects name their clients.
    pub(crate) client_key: Arc<ClientKey>,
    /// How long a client waits for the completion, unless it asks for less.
    pub(crate) wait: Duration,
    pub(crate) ttl_seconds: i32,
    /// Whether a query of GET /arxiv fails on arXiv's first error while its caller waits.
    pub(crate) fail_fast: bool,
    /// The prefix of paths in response bodies.
    pub(crate) root: RootPath,
    /// Cancelled when this process shuts down.
    pub(crate) ending: CancellationToken,
}

/// A search to be submitted.
pub(crate) struct SubmitRequest {
    /// As far as the client says it, with our default for `maxResults`.
    pub(crate) spec: ArxivQuerySpec,
    pub(crate) key: Option<IdempotencyKey>,
    pub(crate) client: Client,
    pub(crate) correlation: Correlation,
    /// Whether it fails permanently on arXiv's first error.
    pub(crate) fail_fast: bool,
    /// How long to wait for its completion; zero for not at all.
    pub(crate) wait_timeout: Duration,
}

/// A hash of the spec, which does not depend on how the client spelt it. Serialising a spec cannot fail.
pub(crate) fn fingerprint(spec: &ArxivQuerySpec) -> String {
    hash(&[&serde_json::to_string(spec).unwrap_or_default()])
}

impl SubmitRequest {
    /// The object, if it was created for this search; 422 if the key was used for another one.
    fn accept(&self, object: ArxivQuery) -> Result<ArxivQuery, ApiError> {
        if self.key.is_none()
            || object.annotations().get(REQUEST_ANNOTATION) == Some(&fingerprint(&self.spec))
        {
            Ok(object)
        } else {
            Err(ApiError::new(
                Code::IdempotencyKeyReused,
                "This Idempotency-Key was used for another search",
            ))
        }
    }
}

impl QuerySubmitter {
    /// 1. Choose the object's name, and register a waiter for it.
    /// 2. Create the object, unless the object of its key exists.
    /// 3. Wait for its completion, the timeout, or the shutdown of this process, whichever comes first.
    ///
    /// Returns the object as it was seen last: finished or not.
    pub(crate) async fn run(&self, request: SubmitRequest) -> Result<Arc<ArxivQuery>, ApiError> {
        let limit = Instant::now() + request.wait_timeout;
        let client = &request.client;
        let name = match &request.key {
            Some(key) => key.object_name(client.user_name(), self.objects.class_name().as_deref()),
            None => format!("arxiv-{}", Uuid::new_v4().simple()),
        };
        request.correlation.note_object(&name);
        let is_waiting = !request.wait_timeout.is_zero();
        let waiter = is_waiting
            .then(|| self.waiters.register(&name, client))
            .transpose()?;
        let create = Call::new("create").arg("name", &name);
        let created = self.create_or_get(&request, &name);
        let created = create.run("frontend", "arxiv", created, |object: &ArxivQuery| {
            object.uid().unwrap_or_default()
        });
        let created = Box::pin(created).instrument(tracing::error_span!("create object"));
        let object = Arc::new(created.await?);
        if is_removed(&object) {
            return Err(removed());
        }
        match waiter {
            // A timeout shorter than the create itself still ends in a 202: the query was accepted.
            Some(waiter) if !object.phase().is_final() => {
                self.wait_for_completion(client, waiter, limit, object).await
            }
            _ => Ok(object),
        }
    }

    /// Whether /arxiv made this object for this client.
    pub(crate) async fn is_made_for(&self, object: &ArxivQuery, client: &Client) -> Result<bool, ApiError> {
        let label = object.labels().get(CLIENT_LABEL);
        let mark = object.annotations().get(CLIENT_MARK_ANNOTATION);
        let (Some(label), Some(mark)) = (label, mark) else {
            return Ok(false);
        };
        let (label, mark) = (label.clone(), mark.clone());
        let names = Names { label, mark };
        Ok(self.client_key.fits(client, &object.name_any(), &names).await?)
    }

    fn object(&self, name: &str, request: &SubmitRequest, client: Names) -> ArxivQuery {
        let mut object = ArxivQuery::new(name, request.spec.clone());
        object.spec.ttl_seconds_after_finished = Some(self.ttl_seconds);
        object.spec.class_name = self.objects.class_name();
        if request.fail_fast {
            object.spec.backoff_limit = 0;
            object.spec.failure_policy = FailurePolicy::FailFast;
        }
        if request.key.is_some() {
            let fingerprint = fingerprint(&request.spec);
            object
                .annotations_mut()
                .insert(REQUEST_ANNOTATION.to_owned(), fingerprint);
        }
        object.annotations_mut().extend(request.correlation.annotations());
        object.labels_mut().insert(CLIENT_LABEL.to_owned(), client.label);
        object
            .annotations_mut()
            .insert(CLIENT_MARK_ANNOTATION.to_owned(), client.mark);
        object
    }

    /// The object, created now, or by an earlier request with the same key.
    async fn create_or_get(&self, request: &SubmitRequest, name: &str) -> Result<ArxivQuery, ApiError> {
        let names = self.client_key.names(&request.client, name).await?;
        let admission = match self.backlog.admit(name, Some(&names.label)) {
            Ok(admission) => admission,
            // An existing object of the key is returned, however many queries are pending.
            Err(exceeded) => return self.existing(request, name).await?.ok_or(exceeded),
        };
        let object = self.object(name, request, names);
        let client = &request.client;
        for _ in 0..MAX_CREATE_ATTEMPTS {
            // After a 503 a client with a key tries again with the key, and must find the object if it was created.
            match self.objects.create(client, &object, request.key.is_none()).await {
                Ok(created) => {
                    let created = request.accept(created)?;
                    if !created.phase().is_final() {
                        admission.commit();
                    }
                    return Ok(created);
                }
                Err(KubernetesError::AlreadyExists) => {
                    if let Some(object) = self.existing(request, name).await? {
                        return Ok(object);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(ApiError::unavailable(Code::KubernetesUnavailable))
    }

    /// The existing object of the request's key, if it has a key.
    async fn existing(&self, request: &SubmitRequest, name: &str) -> Result<Option<ArxivQuery>, ApiError> {
        if request.key.is_none() {
            return Ok(None);
        }
        let existing = self.objects.get(&request.client, name).await?;
        existing.map(|object| request.accept(object)).transpose()
    }

    async fn wait_for_completion(
        &self,
        client: &Client,
        mut waiter: Waiter,
        limit: Instant,
        mut last: Arc<ArxivQuery>,
    ) -> Result<Arc<ArxivQuery>, ApiError> {
        while !last.phase().is_final() {
            let event = tokio::select! {
                event = waiter.next_event() => event,
                // The watch may be late or interrupted: after the timeout the object itself decides.
                () = sleep_until(limit) => return self.read(client, last).await,
                () = self.ending.cancelled() => return Ok(last),
            };
            match event {
                Event::None => {}
                Event::Changed(object) => last = object,
                Event::Resync => last = self.read(client, last).await?,
            }
        }
        Ok(last)
    }

    /// The object as it is now, or as it was last seen if it cannot be read; 410 if somebody deleted it before it
    /// finished.
    async fn read(&self, client: &Client, last: Arc<ArxivQuery>) -> Result<Arc<ArxivQuery>, ApiError> {
        let name = last.name_any();
        match self.objects.get(client, &name).await {
            Ok(Some(object)) if !is_removed(&object) => Ok(Arc::new(object)),
            Ok(_) => Err(removed()),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    name,
                    "cannot read an object that a client waits for"
                );
                Ok(last)
            }
        }
    }
}

/// Whether the query was removed before it ended: its deletion has begun, though a finalizer may keep the object.
pub(crate) fn is_removed(object: &ArxivQuery) -> bool {
    object.is_being_deleted() && !object.phase().is_final()
}

/// 410: somebody deleted the object before it finished.
pub(crate) fn removed() -> ApiError {
    ApiError::new(Code::QueryRemoved, "The query was removed before it ended")
}
