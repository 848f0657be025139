//! A search becomes an `ArxivQuery`, at most once under a client's key, and its end is waited for.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crd::{ArxivQuery, ArxivQuerySpec, CLIENT_LABEL, FAIL_FAST_ANNOTATION, REQUEST_ANNOTATION};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    app::MAX_WAITERS,
    error::{ApiError, Code},
    http::middleware::root_path::RootPath,
    jobs::backlog::Backlog,
    jobs::client::{KubernetesError, Objects},
    jobs::idempotency::{self, IdempotencyKey, hash},
    jobs::waiters::{News, Waiter, Waiters},
    limits::client::Client,
    routes::arxiv::new_query::{Limits, NewQuery},
};

/// An object that somebody removes just when it is asked for is made again, but not for ever.
const KEYED_TRIES: u32 = 3;

/// What /arxiv needs to make queries.
pub(crate) struct Searches {
    pub(crate) objects: Arc<Objects>,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) backlog: Arc<Backlog>,
    /// How long a client waits.
    pub(crate) wait: Duration,
    pub(crate) ttl_seconds: i32,
    /// Whether what a caller of GET /arxiv waits for fails on the first error of arXiv.
    pub(crate) fail_fast: bool,
    pub(crate) limits: Limits,
    /// What stands before the paths that bodies tell.
    pub(crate) root: RootPath,
    /// Cancelled when this process is asked to end.
    pub(crate) ending: CancellationToken,
}

/// A query that a client wants.
pub(crate) struct Wish {
    pub(crate) query: NewQuery,
    pub(crate) key: Option<IdempotencyKey>,
    pub(crate) client: Option<Client>,
    /// Whether it fails for good on arXiv's first error.
    pub(crate) fail_fast: bool,
    /// How long its end is waited for.
    pub(crate) patience: Duration,
}

impl Wish {
    /// The client, as objects are labelled with it: names and addresses are nobody's business there.
    fn label(&self) -> Option<String> {
        self.client.as_ref().map(|client| hash(&[client.key()]))
    }
}

/// How a wanted query stands when its client is answered.
pub(crate) enum Stand {
    Finished(Arc<ArxivQuery>),
    /// As it was last seen.
    Unfinished(Arc<ArxivQuery>),
}

impl Searches {
    /// 1. Choose the object's name, and register for news of it.
    /// 2. Make the object, unless its key's object is there.
    /// 3. Wait for its end; or until that takes too long, or this process has to end.
    pub(crate) async fn run(&self, wish: Wish) -> Result<Stand, ApiError> {
        let limit = Instant::now() + wish.patience;
        let name = match &wish.key {
            Some(key) => key.object_name(wish.client.as_ref().and_then(Client::user_name)),
            None => format!("arxiv-{}", Uuid::new_v4().simple()),
        };
        let waiter = if wish.patience.is_zero() {
            None
        } else {
            let waiter = self.waiters.register(&name);
            Some(waiter.ok_or_else(|| ApiError::too_many_waiting(MAX_WAITERS))?)
        };
        tracing::info!(
            component = "frontend",
            origin = "arxiv.create",
            "create(name={name:?}): called"
        );
        let object = self.ensure(&wish, &name).await?;
        tracing::debug!(
            component = "frontend",
            origin = "arxiv.create",
            "create(name={name:?}): returning {}",
            object.metadata.uid.as_deref().unwrap_or_default()
        );
        let object = Arc::new(object);
        if object.phase().is_final() {
            return Ok(Stand::Finished(object));
        }
        match waiter {
            // A client that waits less than a create may take is told 202 after it nevertheless: it was accepted.
            Some(waiter) => self.end_of(&name, waiter, limit, object).await,
            None => Ok(Stand::Unfinished(object)),
        }
    }

    fn object(&self, name: &str, wish: &Wish) -> ArxivQuery {
        let spec = ArxivQuerySpec {
            backoff_limit: if wish.fail_fast {
                Some(0)
            } else {
                wish.query.spec.backoff_limit
            },
            ttl_seconds_after_finished: Some(self.ttl_seconds),
            ..wish.query.spec.clone()
        };
        let mut object = ArxivQuery::new(name, spec);
        let mut annotations = BTreeMap::new();
        if wish.fail_fast {
            annotations.insert(FAIL_FAST_ANNOTATION.to_owned(), "true".to_owned());
        }
        if wish.key.is_some() {
            annotations.insert(REQUEST_ANNOTATION.to_owned(), wish.query.fingerprint.clone());
        }
        object.metadata.annotations = (!annotations.is_empty()).then_some(annotations);
        object.metadata.labels = wish
            .label()
            .map(|client| BTreeMap::from([(CLIENT_LABEL.to_owned(), client)]));
        object
    }

    /// The object, made now or under the same key before.
    async fn ensure(&self, wish: &Wish, name: &str) -> Result<ArxivQuery, ApiError> {
        let admission = match self.backlog.admit(name, wish.label().as_deref()) {
            Ok(admission) => admission,
            // What stands under the key is told, however much else is pending.
            Err(full) => return self.standing(wish, name).await?.ok_or_else(|| full.into()),
        };
        let object = self.object(name, wish);
        for _ in 0..KEYED_TRIES {
            // Whoever has a key and is told 503 asks again under it, and must find what was made.
            match self.objects.create(&object, wish.key.is_none()).await {
                Ok(created) => {
                    let created = same_request(wish, created)?;
                    if !created.phase().is_final() {
                        admission.made();
                    }
                    return Ok(created);
                }
                Err(KubernetesError::AlreadyExists) => {
                    if let Some(object) = self.standing(wish, name).await? {
                        return Ok(object);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(ApiError::unavailable(Code::KubernetesUnavailable))
    }

    /// What stands under the wish's key, if it has one.
    async fn standing(&self, wish: &Wish, name: &str) -> Result<Option<ArxivQuery>, ApiError> {
        if wish.key.is_none() {
            return Ok(None);
        }
        let standing = self.objects.get(name).await?;
        standing.map(|object| same_request(wish, object)).transpose()
    }

    async fn end_of(
        &self,
        name: &str,
        mut waiter: Waiter,
        limit: Instant,
        mut last: Arc<ArxivQuery>,
    ) -> Result<Stand, ApiError> {
        loop {
            let news = tokio::select! {
                news = waiter.news() => news,
                () = sleep_until(limit) => break,
                () = self.ending.cancelled() => return Ok(Stand::Unfinished(last)),
            };
            match news {
                News::None => {}
                News::Seen(object) => last = object,
                News::Finished(object) => return Ok(Stand::Finished(object)),
                News::Look => match self.objects.get(name).await {
                    Ok(Some(object)) if object.phase().is_final() => {
                        return Ok(Stand::Finished(Arc::new(object)));
                    }
                    Ok(Some(object)) => last = Arc::new(object),
                    Ok(None) => return Err(removed()),
                    // The next news, or the limit, will look again.
                    Err(error) => log_unseen(name, &error),
                },
            }
        }
        // The watch may be behind or away: at the limit the object itself decides.
        match self.objects.get(name).await {
            Ok(Some(object)) if object.phase().is_final() => Ok(Stand::Finished(Arc::new(object))),
            Ok(Some(object)) => Ok(Stand::Unfinished(Arc::new(object))),
            Ok(None) => Err(removed()),
            Err(error) => {
                log_unseen(name, &error);
                Ok(Stand::Unfinished(last))
            }
        }
    }
}

/// The object, if it is what this request under its key asks for.
fn same_request(wish: &Wish, object: ArxivQuery) -> Result<ArxivQuery, ApiError> {
    let asked = object.metadata.annotations.as_ref();
    let asked = asked.and_then(|annotations| annotations.get(REQUEST_ANNOTATION));
    if wish.key.is_none() || asked == Some(&wish.query.fingerprint) {
        Ok(object)
    } else {
        Err(idempotency::reused())
    }
}

fn log_unseen(name: &str, error: &KubernetesError) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        name,
        "cannot look at an object that is waited for"
    );
}

/// Somebody removed the object before its end was seen.
pub(crate) fn removed() -> ApiError {
    ApiError::new(Code::QueryRemoved, "The query was removed before it ended")
}
