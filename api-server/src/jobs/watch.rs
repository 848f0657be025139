//! The one watch of this process, over all objects of its namespace. It begins where a list of the unfinished ones ends.
//!
//! What has ended is in no list, so history costs neither time nor memory. The watch itself selects nothing: one that
//! selected by phase would show an end as a deletion, with the status from before.

use std::{sync::Arc, time::Duration};

use crd::{ArxivQuery, UNFINISHED};
use futures::{StreamExt, pin_mut};
use kube::{
    Api, Error,
    api::{ListParams, WatchEvent, WatchParams},
    core::DeserializeGuard,
};
use tokio::time::{Instant, sleep, timeout};

use crate::jobs::backlog::Backlog;
use crate::jobs::waiters::Waiters;

/// How long the server keeps one watch open. Shorter than the read time-out of the client, so that a silent connection
/// is known to be dead.
const WATCH_SECONDS: u32 = 60;
/// Objects in one page of the list, 1 to 3 kB each.
const PAGE: u32 = 500;
/// One page of the list. Kubernetes looks at all objects for each.
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);
/// Between tries; whoever waits looks by itself at its limit, so this need not be kept short at any price.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// An object, or why it cannot be read: one that a newer version wrote must not stop the watch.
pub(crate) type Guarded = DeserializeGuard<ArxivQuery>;

/// Who is told of what happens.
#[derive(Clone)]
pub(crate) struct Audience {
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) backlog: Arc<Backlog>,
}

/// Tells of whatever happens to objects. Never returns: the end of a watch, an API server that is away and "too many
/// requests" mean to wait and go on from where it was.
pub(crate) async fn follow(api: Api<Guarded>, audience: Audience) {
    let mut pauses = Pauses::default();
    loop {
        match list(&api, &audience).await {
            Ok(version) => {
                // What ended and went while nobody watched is in no list.
                audience.waiters.missed();
                watch(&api, version, &audience, &mut pauses).await;
            }
            Err(error) => {
                interrupted(&error);
                sleep(pauses.next()).await;
            }
        }
    }
}

/// Lists what is unfinished; the version from which to watch.
async fn list(api: &Api<Guarded>, audience: &Audience) -> Result<String, Error> {
    let mut listing = audience.backlog.begin_listing();
    let mut params = ListParams::default().fields(UNFINISHED).limit(PAGE);
    loop {
        let page = timeout(PAGE_TIMEOUT, api.list(&params))
            .await
            .map_err(|elapsed| Error::Service(elapsed.into()))??;
        for DeserializeGuard(object) in page.items {
            match object {
                Ok(object) => listing.add(&object),
                Err(error) => unreadable(&error),
            }
        }
        let next = page.metadata.continue_.filter(|token| !token.is_empty());
        let Some(token) = next else {
            audience.backlog.listed(listing);
            return Ok(page.metadata.resource_version.unwrap_or_default());
        };
        params = params.continue_token(&token);
    }
}

/// Returns when it has to be listed anew.
async fn watch(api: &Api<Guarded>, mut version: String, audience: &Audience, pauses: &mut Pauses) {
    let params = WatchParams::default().timeout(WATCH_SECONDS);
    loop {
        let began = Instant::now();
        match api.watch(&params, &version).await {
            Ok(events) => {
                pin_mut!(events);
                while let Some(event) = events.next().await {
                    match event {
                        Ok(event) => {
                            if tell(event, &mut version, audience) == Next::List {
                                return;
                            }
                        }
                        Err(error) => {
                            interrupted(&error);
                            break;
                        }
                    }
                }
                if began.elapsed() > FIRST_PAUSE {
                    pauses.reset();
                    continue;
                }
            }
            Err(Error::Api(status)) if status.code == 410 => return,
            Err(error) => interrupted(&error),
        }
        sleep(pauses.next()).await;
    }
}

/// What to do after an event.
#[derive(PartialEq)]
enum Next {
    Watch,
    List,
}

fn tell(event: WatchEvent<Guarded>, version: &mut String, audience: &Audience) -> Next {
    match event {
        WatchEvent::Added(DeserializeGuard(object)) | WatchEvent::Modified(DeserializeGuard(object)) => {
            match object {
                Ok(object) => {
                    advance(version, object.metadata.resource_version.as_deref());
                    let object = Arc::new(object);
                    audience.backlog.seen(&object);
                    audience.waiters.seen(&object);
                }
                Err(error) => {
                    unreadable(&error);
                    advance(version, error.metadata.resource_version.as_deref());
                    gone(error.metadata.name.as_deref(), audience);
                }
            }
        }
        WatchEvent::Deleted(DeserializeGuard(object)) => {
            let metadata = object.map_or_else(|error| error.metadata, |object| object.metadata);
            advance(version, metadata.resource_version.as_deref());
            gone(metadata.name.as_deref(), audience);
        }
        WatchEvent::Bookmark(bookmark) => *version = bookmark.metadata.resource_version,
        WatchEvent::Error(status) if status.code == 410 => return Next::List,
        WatchEvent::Error(status) => tracing::info!(code = status.code, "the watch is interrupted"),
    }
    if audience.backlog.has_lost_sight() {
        Next::List
    } else {
        Next::Watch
    }
}

fn advance(version: &mut String, seen: Option<&str>) {
    if let Some(seen) = seen {
        seen.clone_into(version);
    }
}

fn gone(name: Option<&str>, audience: &Audience) {
    if let Some(name) = name {
        audience.backlog.gone(name);
        audience.waiters.gone(name);
    }
}

fn interrupted(error: &Error) {
    tracing::info!(
        error = error as &dyn std::error::Error,
        "the watch is interrupted"
    );
}

fn unreadable(error: &kube::core::error_boundary::InvalidObject) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        name = error.metadata.name,
        "an object cannot be read"
    );
}

/// Doubled from the first to the longest.
struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Self(FIRST_PAUSE)
    }
}

impl Pauses {
    fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST_PAUSE);
        pause
    }

    fn reset(&mut self) {
        self.0 = FIRST_PAUSE;
    }
}
