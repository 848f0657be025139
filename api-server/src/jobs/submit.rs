//! Submitting a search: creates an `ArxivQuery`, at most once for each idempotency key, and waits for its completion.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crd::{ArxivQuery, ArxivQuerySpec, CLIENT_LABEL, FAIL_FAST_ANNOTATION, REQUEST_ANNOTATION};
use service::logs::Call;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wire::root_path::RootPath;

use crate::{
    error::{ApiError, Code},
    jobs::backlog::Backlog,
    jobs::client::{KubernetesError, Objects},
    jobs::idempotency::{self, IdempotencyKey, hash},
    jobs::waiters::{Event, Waiter, Waiters},
    limits::client::Client,
    routes::arxiv::new_query::NewQuery,
};

/// How often the object of a key is created if somebody deletes it between the create and the read.
const MAX_CREATE_ATTEMPTS: u32 = 3;

/// Creates queries for /arxiv.
pub(crate) struct QuerySubmitter {
    pub(crate) objects: Arc<Objects>,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) backlog: Arc<Backlog>,
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
    pub(crate) query: NewQuery,
    pub(crate) key: Option<IdempotencyKey>,
    pub(crate) client: Option<Client>,
    /// Whether it fails permanently on arXiv's first error.
    pub(crate) fail_fast: bool,
    /// How long to wait for its completion; zero for not at all.
    pub(crate) wait_timeout: Duration,
}

impl SubmitRequest {
    /// The client as a label of the object: a hash, so that the object shows neither user names nor addresses.
    fn label(&self) -> Option<String> {
        self.client.as_ref().map(|client| hash(&[client.key()]))
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
        let name = match &request.key {
            Some(key) => key.object_name(request.client.as_ref().and_then(Client::user_name)),
            None => format!("arxiv-{}", Uuid::new_v4().simple()),
        };
        let waiter = if request.wait_timeout.is_zero() {
            None
        } else {
            Some(self.waiters.register(&name, request.client.as_ref())?)
        };
        let create = Call::new("create").arg("name", &name);
        let created = self.create_or_get(&request, &name);
        let object = create.run("frontend", "arxiv", created, |object: &ArxivQuery| {
            object.metadata.uid.clone().unwrap_or_default()
        });
        let object = Arc::new(Box::pin(object).await?);
        if object.phase().is_final() {
            return Ok(object);
        }
        match waiter {
            // A timeout shorter than the create itself still ends in a 202: the query was accepted.
            Some(waiter) => {
                self.wait_for_completion(request.client.as_ref(), &name, waiter, limit, object)
                    .await
            }
            None => Ok(object),
        }
    }

    fn object(&self, name: &str, request: &SubmitRequest) -> ArxivQuery {
        let spec = ArxivQuerySpec {
            backoff_limit: if request.fail_fast {
                Some(0)
            } else {
                request.query.spec.backoff_limit
            },
            ttl_seconds_after_finished: Some(self.ttl_seconds),
            ..request.query.spec.clone()
        };
        let mut object = ArxivQuery::new(name, spec);
        let mut annotations = BTreeMap::new();
        if request.fail_fast {
            annotations.insert(FAIL_FAST_ANNOTATION.to_owned(), "true".to_owned());
        }
        if request.key.is_some() {
            annotations.insert(REQUEST_ANNOTATION.to_owned(), request.query.fingerprint.clone());
        }
        object.metadata.annotations = (!annotations.is_empty()).then_some(annotations);
        object.metadata.labels = request
            .label()
            .map(|client| BTreeMap::from([(CLIENT_LABEL.to_owned(), client)]));
        object
    }

    /// The object, created now, or by an earlier request with the same key.
    async fn create_or_get(&self, request: &SubmitRequest, name: &str) -> Result<ArxivQuery, ApiError> {
        let admission = match self.backlog.admit(name, request.label().as_deref()) {
            Ok(admission) => admission,
            // An existing object of the key is returned, however many queries are pending.
            Err(exceeded) => return self.existing(request, name).await?.ok_or_else(|| exceeded.into()),
        };
        let object = self.object(name, request);
        for _ in 0..MAX_CREATE_ATTEMPTS {
            // After a 503 a client with a key tries again with the key, and must find the object if it was created.
            match self
                .objects
                .create(request.client.as_ref(), &object, request.key.is_none())
                .await
            {
                Ok(created) => {
                    let created = same_request(request, created)?;
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
        let existing = self.objects.get(request.client.as_ref(), name).await?;
        existing.map(|object| same_request(request, object)).transpose()
    }

    async fn wait_for_completion(
        &self,
        client: Option<&Client>,
        name: &str,
        mut waiter: Waiter,
        limit: Instant,
        mut last: Arc<ArxivQuery>,
    ) -> Result<Arc<ArxivQuery>, ApiError> {
        loop {
            let event = tokio::select! {
                event = waiter.next_event() => event,
                () = sleep_until(limit) => break,
                () = self.ending.cancelled() => return Ok(last),
            };
            match event {
                Event::None => {}
                Event::Updated(object) => last = object,
                Event::Completed(object) => return Ok(object),
                Event::Resync => match self.objects.get(client, name).await {
                    Ok(Some(object)) if object.phase().is_final() => {
                        return Ok(Arc::new(object));
                    }
                    Ok(Some(object)) => last = Arc::new(object),
                    Ok(None) => return Err(removed()),
                    // The next event, or the timeout, reads it again.
                    Err(error) => log_unreadable(name, &error),
                },
            }
        }
        // The watch may be late or interrupted: after the timeout the object itself decides.
        match self.objects.get(client, name).await {
            Ok(Some(object)) if object.phase().is_final() => Ok(Arc::new(object)),
            Ok(Some(object)) => Ok(Arc::new(object)),
            Ok(None) => Err(removed()),
            Err(error) => {
                log_unreadable(name, &error);
                Ok(last)
            }
        }
    }
}

/// The object, if it was created for the same search; 422 if the key was used for another one.
fn same_request(request: &SubmitRequest, object: ArxivQuery) -> Result<ArxivQuery, ApiError> {
    let created_for = object.metadata.annotations.as_ref();
    let created_for = created_for.and_then(|annotations| annotations.get(REQUEST_ANNOTATION));
    if request.key.is_none() || created_for == Some(&request.query.fingerprint) {
        Ok(object)
    } else {
        Err(idempotency::reused())
    }
}

fn log_unreadable(name: &str, error: &KubernetesError) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        name,
        "cannot read an object that a client waits for"
    );
}

/// 410: somebody deleted the object before it finished.
pub(crate) fn removed() -> ApiError {
    ApiError::new(Code::QueryRemoved, "The query was removed before it ended")
}
