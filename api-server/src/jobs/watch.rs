//! The one watch of this process, over all objects of its namespace. It starts at the resource version of a list of the
//! unfinished objects.
//!
//! Finished objects are in no list, so history costs neither time nor memory. The watch itself has no selector: a watch
//! that selects by phase reports a completion as a deletion, with the status from before.

use std::{sync::Arc, time::Duration};

use crd::{ArxivQuery, UNFINISHED};
use futures::{StreamExt, pin_mut};
use kube::{
    Api, Error,
    api::{ListParams, WatchEvent, WatchParams},
    core::DeserializeGuard,
};
use service::backoff::Backoff;
use tokio::time::{Instant, sleep, timeout};

use crate::jobs::backlog::Backlog;
use crate::jobs::waiters::Waiters;

/// How long the server keeps one watch open. Shorter than the client's read timeout, so that a connection without data
/// for that time is known to be dead.
const WATCH_SECONDS: u32 = 60;
/// Objects in one page of the list, 1 to 3 kB each.
const PAGE: u32 = 500;
/// Timeout of one page of the list. Kubernetes reads all objects for each.
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);
/// Pauses between attempts. They need not be very short: waiters read the object themselves after their timeout.
const RETRY: Backoff = Backoff {
    base: Duration::from_millis(200),
    cap: Duration::from_secs(3),
};

/// An object, or the error of decoding it: an object written by a newer version must not stop the watch.
pub(crate) type DecodedObject = DeserializeGuard<ArxivQuery>;

/// The receivers of events.
#[derive(Clone)]
pub(crate) struct Subscribers {
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) backlog: Arc<Backlog>,
}

/// Reports all changes of objects to the subscribers. Never returns: after the end of a watch, without a connection, and
/// on "too many requests" it waits and continues from where it was.
pub(crate) async fn run(api: Api<DecodedObject>, subscribers: Subscribers) {
    let mut failures = 0;
    loop {
        match list(&api, &subscribers).await {
            Ok(version) => {
                // Objects that finished or were deleted while there was no watch are in no list.
                subscribers.waiters.on_resync();
                watch(&api, version, &subscribers, &mut failures).await;
            }
            Err(error) => {
                interrupted(&error);
                failures += 1;
                sleep(RETRY.delay(failures)).await;
            }
        }
    }
}

/// Lists the unfinished objects; returns the resource version from which to watch.
async fn list(api: &Api<DecodedObject>, subscribers: &Subscribers) -> Result<String, Error> {
    let mut listing = subscribers.backlog.begin_listing();
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
            subscribers.backlog.replace(listing);
            return Ok(page.metadata.resource_version.unwrap_or_default());
        };
        params = params.continue_token(&token);
    }
}

/// Watches until a new list is needed.
async fn watch(api: &Api<DecodedObject>, mut version: String, subscribers: &Subscribers, failures: &mut u32) {
    let params = WatchParams::default().timeout(WATCH_SECONDS);
    loop {
        let began = Instant::now();
        match api.watch(&params, &version).await {
            Ok(events) => {
                pin_mut!(events);
                while let Some(event) = events.next().await {
                    match event {
                        Ok(event) => {
                            if dispatch(event, &mut version, subscribers) == WatchAction::List {
                                return;
                            }
                        }
                        Err(error) => {
                            interrupted(&error);
                            break;
                        }
                    }
                }
                if began.elapsed() > RETRY.base {
                    *failures = 0;
                    continue;
                }
            }
            Err(Error::Api(status)) if status.code == 410 => return,
            Err(error) => interrupted(&error),
        }
        *failures += 1;
        sleep(RETRY.delay(*failures)).await;
    }
}

/// What to do after an event.
#[derive(PartialEq)]
enum WatchAction {
    Watch,
    List,
}

fn dispatch(
    event: WatchEvent<DecodedObject>,
    version: &mut String,
    subscribers: &Subscribers,
) -> WatchAction {
    match event {
        WatchEvent::Added(DeserializeGuard(object)) | WatchEvent::Modified(DeserializeGuard(object)) => {
            match object {
                Ok(object) => {
                    advance(version, object.metadata.resource_version.as_deref());
                    let object = Arc::new(object);
                    subscribers.backlog.on_update(&object);
                    subscribers.waiters.on_update(&object);
                }
                Err(error) => {
                    unreadable(&error);
                    advance(version, error.metadata.resource_version.as_deref());
                    on_delete(error.metadata.name.as_deref(), subscribers);
                }
            }
        }
        WatchEvent::Deleted(DeserializeGuard(object)) => {
            let metadata = object.map_or_else(|error| error.metadata, |object| object.metadata);
            advance(version, metadata.resource_version.as_deref());
            on_delete(metadata.name.as_deref(), subscribers);
        }
        WatchEvent::Bookmark(bookmark) => *version = bookmark.metadata.resource_version,
        WatchEvent::Error(status) if status.code == 410 => return WatchAction::List,
        WatchEvent::Error(status) => tracing::info!(code = status.code, "the watch is interrupted"),
    }
    if subscribers.backlog.needs_relist() {
        WatchAction::List
    } else {
        WatchAction::Watch
    }
}

fn advance(version: &mut String, seen: Option<&str>) {
    if let Some(seen) = seen {
        seen.clone_into(version);
    }
}

fn on_delete(name: Option<&str>, subscribers: &Subscribers) {
    if let Some(name) = name {
        subscribers.backlog.on_delete(name);
        subscribers.waiters.on_delete(name);
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
