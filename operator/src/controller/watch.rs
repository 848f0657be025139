//! The watch on unfinished ArxivQuery objects. Finished ones leave it, so neither memory nor a restart grows with them.

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

/// Objects in one page of a listing: 1 to 2 kB each.
const PAGE: u32 = 500;
/// The pause after a watch that failed. Short and even: an API server that restarts is back in seconds, its answer 429
/// while it fills its cache asks for one to five, and this is one client.
const PAUSE: Duration = Duration::from_secs(2);

/// Whether the last word of the watch was an event, not an error or a listing that is not complete.
#[derive(Clone, Default)]
pub(crate) struct Watching(Arc<AtomicBool>);

impl Watching {
    /// Whether the store can be taken for the present state.
    pub(crate) fn is_current(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The objects that are new or have changed. What leaves is forgotten by the tracker.
pub(crate) fn unfinished(
    api: Api<ArxivQuery>,
    tracker: Arc<Tracker>,
    metrics: Metrics,
) -> (Store<ArxivQuery>, Watching, impl Stream<Item = Object> + Send) {
    let (store, writer) = reflector::store();
    // Listed in pages and then watched: streamed lists are not on by default in all versions of Kubernetes since 1.32.
    let config = watcher::Config::default()
        .fields(crd::UNFINISHED)
        .page_size(PAGE)
        .timeout(WATCH_SECONDS);
    let (watching, reader) = (Watching::default(), store.clone());
    let state = watching.clone();
    let touched = watcher::watcher(api, config)
        .modify(slim)
        .backoff(Even(PAUSE))
        .reflect(writer)
        .flat_map(move |event| {
            let touched = match event {
                Ok(event) => {
                    let listing = matches!(event, Event::Init | Event::InitApply(_));
                    state.0.store(!listing, Ordering::Relaxed);
                    observe(event, &reader, &tracker)
                }
                Err(error) => {
                    // Not the end of anything: the watch resumes where it was, or lists anew. Readiness tells of it
                    // when Kubernetes is away.
                    state.0.store(false, Ordering::Relaxed);
                    metrics.failed("watch");
                    tracing::debug!("the watch is interrupted: {error}");
                    Vec::new()
                }
            };
            stream::iter(touched)
        });
    (store, watching, touched)
}

/// Takes away what the queue does not need of an object: who owns which field, and what people wrote on it (kubectl keeps a
/// copy of the whole object there).
fn slim(object: &mut ArxivQuery) {
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

/// The objects to look at after this event, which the store has taken in already.
fn observe(event: Event<ArxivQuery>, store: &Store<ArxivQuery>, tracker: &Tracker) -> Vec<Object> {
    match event {
        Event::Apply(object) => vec![Object::from_obj(&object)],
        Event::Delete(object) => {
            if let Some(uid) = uid(&object) {
                tracker.forget(uid);
            }
            Vec::new()
        }
        // A listing is in the store when it is complete, not before.
        Event::Init | Event::InitApply(_) => Vec::new(),
        Event::InitDone => {
            // What was deleted and what was finished while the watch was down shows only by its absence.
            tracker.retain(&present(store));
            store
                .state()
                .iter()
                .map(|object| Object::from_obj(&**object))
                .collect()
        }
    }
}

/// The uids of all unfinished objects.
pub(crate) fn present(store: &Store<ArxivQuery>) -> HashSet<uuid::Uuid> {
    store.state().iter().filter_map(|object| uid(object)).collect()
}

/// The same pause each time.
struct Even(Duration);

impl Iterator for Even {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.0)
    }
}

impl Backoff for Even {
    fn reset(&mut self) {}
}
