//! The one watch of this process, over all objects of its class in its namespace. It starts at the resource version of a
//! list of the unfinished objects.
//!
//! Finished objects are in no list, so history costs neither time nor memory. The watch itself selects by the class alone,
//! which does not change: a watch that selects by phase reports a completion as a deletion, with the status from before.

use std::{sync::Arc, time::Duration};

use cluster::{CallError, Revisions, within};
use crd::{class_selector, unfinished_selector};
use futures::{StreamExt, pin_mut};
use kube::{
    Api, Error, Resource, ResourceExt,
    api::{ListParams, WatchEvent, WatchParams},
};
use service::backoff::Backoff;
use tokio::time::{Instant, sleep};

use crate::jobs::{
    backlog::Backlog,
    decoded_object::{DecodedObject, Undecodable},
    lookups::Lookups,
    waiters::Waiters,
};

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

/// The receivers of events.
#[derive(Clone)]
pub(crate) struct Subscribers {
    pub(crate) lookups: Arc<Lookups>,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) backlog: Arc<Backlog>,
}

/// Reports all changes of objects to the subscribers. Never returns: after the end of a watch, without a connection, and
/// on "too many requests" it waits and continues from where it was.
pub(crate) async fn run(api: Api<DecodedObject>, class: String, subscribers: Subscribers) {
    let (mut failures, revisions) = (0, Revisions::default());
    loop {
        match list(&api, &class, &subscribers).await {
            Ok(version) => {
                // Objects that finished or were deleted while there was no watch are in no list.
                subscribers.lookups.forget(None);
                subscribers.waiters.on_resync();
                watch(&api, &class, version, &subscribers, &revisions, &mut failures).await;
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
async fn list(api: &Api<DecodedObject>, class: &str, subscribers: &Subscribers) -> Result<String, CallError> {
    let mut listing = subscribers.backlog.begin_listing();
    let mut params = ListParams::default()
        .fields(&unfinished_selector(class))
        .limit(PAGE);
    loop {
        let page = within(PAGE_TIMEOUT, api.list(&params)).await?;
        for DecodedObject(object) in page.items {
            match object {
                // Nothing is done for one whose deletion has begun.
                Ok(object) if object.is_being_deleted() => {}
                Ok(object) => listing.add(&object),
                Err(error) => undecodable(&error),
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

/// Whether the database of Kubernetes went back in time, so that the watch would miss what happens now.
async fn is_restored(api: &Api<DecodedObject>, revisions: &Revisions) -> bool {
    let highest = revisions.highest();
    let one = ListParams::default().limit(1);
    // Without an answer the watch fails too, and this is asked again before the next one.
    let listed = within(PAGE_TIMEOUT, api.list(&one)).await;
    listed.is_ok_and(|listed| revisions.check(highest, &listed.metadata))
}

/// Watches until a new list is needed.
async fn watch(
    api: &Api<DecodedObject>,
    class: &str,
    mut version: String,
    subscribers: &Subscribers,
    revisions: &Revisions,
    failures: &mut u32,
) {
    loop {
        revisions.saw(Some(&version));
        if is_restored(api, revisions).await {
            return;
        }
        let began = Instant::now();
        match watch_once(api, class, &mut version, subscribers).await {
            Ok(true) => return,
            Ok(false) if began.elapsed() > RETRY.base => {
                *failures = 0;
                continue;
            }
            Ok(false) => {}
            Err(Error::Api(status)) if status.code == 410 => return,
            Err(error) => interrupted(&error),
        }
        *failures += 1;
        sleep(RETRY.delay(*failures)).await;
    }
}

/// Watches until the end of one watch; returns whether a new list is needed. The error is that of a watch that did not
/// begin.
async fn watch_once(
    api: &Api<DecodedObject>,
    class: &str,
    version: &mut String,
    subscribers: &Subscribers,
) -> Result<bool, Error> {
    let params = WatchParams::default()
        .fields(&class_selector(class))
        .timeout(WATCH_SECONDS);
    let events = api.watch(&params, version).await?;
    pin_mut!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(WatchEvent::Error(status)) if status.code == 410 => return Ok(true),
            Ok(event) => dispatch(event, version, subscribers),
            Err(error) => {
                interrupted(&error);
                break;
            }
        }
        if subscribers.backlog.needs_relist() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn dispatch(event: WatchEvent<DecodedObject>, version: &mut String, subscribers: &Subscribers) {
    let (object, is_deleted) = match event {
        WatchEvent::Added(object) | WatchEvent::Modified(object) => (object, false),
        WatchEvent::Deleted(object) => (object, true),
        WatchEvent::Bookmark(bookmark) => {
            *version = bookmark.metadata.resource_version;
            return;
        }
        WatchEvent::Error(status) => {
            tracing::info!(code = status.code, "the watch is interrupted");
            return;
        }
    };
    if let Some(seen) = object.resource_version() {
        *version = seen;
    }
    let name = object.meta().name.clone();
    // Before anybody hears of the change and reads the object for it.
    subscribers.lookups.forget(name.as_deref());
    match object.0 {
        // One whose deletion has begun will not end, however long a finalizer keeps it.
        Ok(object) if !is_deleted && !object.is_being_deleted() => {
            let object = Arc::new(object);
            subscribers.backlog.on_update(&object);
            subscribers.waiters.on_update(&object);
            return;
        }
        Err(error) if !is_deleted => undecodable(&error),
        _ => {}
    }
    if let Some(name) = name {
        subscribers.backlog.on_delete(&name);
        subscribers.waiters.on_delete(&name);
    }
}

fn interrupted(error: &(dyn std::error::Error + 'static)) {
    tracing::warn!(error, "the watch is interrupted");
}

fn undecodable(error: &Undecodable) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        name = error.metadata.name,
        "an object cannot be read"
    );
}
