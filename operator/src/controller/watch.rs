//! The watch on unfinished ArxivQuery objects. Finished ones leave it, so neither memory nor a restart grows
//! with them.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crd::{ArxivQuery, FAIL_FAST_ANNOTATION};
use futures::{Stream, StreamExt, stream};
use kube::{
    Api,
    runtime::{
        WatchStreamExt,
        reflector::{self, Store},
        utils::Backoff,
        watcher::{self, Event},
    },
};

use crate::{
    controller::context::uid,
    fetch::tracker::{Object, Tracker},
    process::{kubernetes::WATCH_SECONDS, metrics::Metrics},
};

/// Objects in one page of a listing, 1 to 2 kB each.
const LIST_PAGE: u32 = 500;
/// The pause after a watch that failed. Short and constant: an API server that restarts is back in seconds,
/// its 429 while it fills its cache asks for one to five, and this is one client.
const RETRY_DELAY: Duration = Duration::from_secs(2);

/// Whether the watch is up to date: the last thing that it got was an event, not an error or a part of a
/// listing.
#[derive(Clone, Default)]
pub(crate) struct Freshness(Arc<AtomicBool>);

impl Freshness {
    /// Whether the store holds the present state.
    pub(crate) fn is_current(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The objects that are new or have changed. Those that leave the watch are removed from the tracker.
pub(crate) fn unfinished(
    api: Api<ArxivQuery>,
    tracker: Arc<Tracker>,
    metrics: Metrics,
) -> (Store<ArxivQuery>, Freshness, impl Stream<Item = Object> + Send) {
    let (store, writer) = reflector::store();
    // Listed in pages and then watched: streamed lists are not on by default in all versions of Kubernetes
    // since 1.32.
    let config = watcher::Config::default()
        .fields(crd::UNFINISHED)
        .page_size(LIST_PAGE)
        .timeout(WATCH_SECONDS);
    let (freshness, reader) = (Freshness::default(), store.clone());
    let current = freshness.0.clone();
    let changed = watcher::watcher(api, config)
        .modify(strip_unused)
        .backoff(ConstantBackoff(RETRY_DELAY))
        .reflect(writer)
        .flat_map(move |event| {
            let changed = match event {
                Ok(event) => {
                    let listing = matches!(event, Event::Init | Event::InitApply(_));
                    current.store(!listing, Ordering::Relaxed);
                    observe(event, &reader, &tracker)
                }
                Err(error) => {
                    // The watch continues where it was, or lists anew. Readiness reports it when Kubernetes
                    // is unavailable.
                    current.store(false, Ordering::Relaxed);
                    metrics.failed("watch");
                    tracing::debug!("the watch is interrupted: {error}");
                    Vec::new()
                }
            };
            stream::iter(changed)
        });
    (store, freshness, changed)
}

/// Removes the parts of an object that are not used here: field managers, labels, and annotations (where
/// kubectl keeps a copy of the whole object).
fn strip_unused(object: &mut ArxivQuery) {
    let metadata = &mut object.metadata;
    (
        metadata.managed_fields,
        metadata.labels,
        metadata.owner_references,
    ) = (None, None, None);
    if let Some(annotations) = &mut metadata.annotations {
        annotations.retain(|name, _| name == FAIL_FAST_ANNOTATION);
    }
}

/// The objects to reconcile after this event, which is in the store already.
fn observe(event: Event<ArxivQuery>, store: &Store<ArxivQuery>, tracker: &Tracker) -> Vec<Object> {
    match event {
        Event::Apply(object) => vec![Object::from_obj(&object)],
        Event::Delete(object) => {
            if let Some(uid) = uid(&object) {
                tracker.untrack(uid);
            }
            Vec::new()
        }
        // A listing is in the store when it is complete, not before.
        Event::Init | Event::InitApply(_) => Vec::new(),
        Event::InitDone => {
            // Objects that were deleted or finished while the watch was down are just missing.
            tracker.retain(&unfinished_uids(store));
            store
                .state()
                .iter()
                .map(|object| Object::from_obj(&**object))
                .collect()
        }
    }
}

/// The uids of all unfinished objects.
pub(crate) fn unfinished_uids(store: &Store<ArxivQuery>) -> HashSet<uuid::Uuid> {
    store.state().iter().filter_map(|object| uid(object)).collect()
}

/// The same pause each time.
struct ConstantBackoff(Duration);

impl Iterator for ConstantBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.0)
    }
}

impl Backoff for ConstantBackoff {
    fn reset(&mut self) {}
}
