//! The watch on unfinished ArxivQuery objects. Finished ones leave it, so neither memory nor a restart grows
//! with them.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use cluster::Revisions;
use crd::{ArxivQuery, CLIENT_LABEL, FAIL_FAST_ANNOTATION, RESTORED_ANNOTATION, VELERO_LABEL};
use futures::{Stream, StreamExt, stream};
use kube::runtime::{
    WatchStreamExt,
    reflector::{self, Store},
    utils::Backoff,
    watcher::{self, Event},
};
use uuid::Uuid;

use super::context::uid;
use crate::{
    fetch::tracker::{Object, Tracker},
    process::{correlation::is_usable, dependencies::Dependencies, kubernetes::WATCH_SECONDS},
};

/// Objects in one page of a listing, 1 to 2 kB each.
const LIST_PAGE: u32 = 500;
/// The pause after a watch that failed. Short and constant: an API server that restarts is back in seconds,
/// its 429 while it fills its cache asks for one to five, and this is one client.
const RETRY_DELAY: Duration = Duration::from_secs(2);

/// The unfinished objects, as the watch sees them.
#[derive(Clone)]
pub(crate) struct Unfinished {
    pub(crate) store: Store<ArxivQuery>,
    is_current: Arc<AtomicBool>,
}

impl Unfinished {
    /// Whether the store holds the present state: the last thing that the watch got was an event, not an error
    /// or a part of a listing.
    pub(crate) fn is_current(&self) -> bool {
        self.is_current.load(Ordering::Relaxed)
    }

    /// The uids of all of them, except those whose deletion has begun.
    pub(crate) fn uids(&self) -> HashSet<Uuid> {
        self.present().iter().filter_map(|object| uid(object)).collect()
    }

    /// Their namespaces.
    pub(super) fn namespaces(&self) -> BTreeSet<String> {
        let present = self.present();
        present
            .iter()
            .filter_map(|object| object.metadata.namespace.clone())
            .collect()
    }

    fn present(&self) -> Vec<Arc<ArxivQuery>> {
        let mut all = self.store.state();
        all.retain(|object| !object.is_being_deleted());
        all
    }

    /// The objects to reconcile after this event, which is in the store already.
    fn observe(&self, event: Event<ArxivQuery>, tracker: &Tracker) -> Vec<Object> {
        let listing = matches!(event, Event::Init | Event::InitApply(_));
        self.is_current.store(!listing, Ordering::Relaxed);
        match event {
            Event::Apply(object) if !object.is_being_deleted() => vec![Object::from_obj(&object)],
            // A finalizer may keep an object whose deletion has begun: its work ends all the same.
            Event::Apply(object) | Event::Delete(object) => {
                if let Some(uid) = uid(&object) {
                    tracker.untrack(uid);
                }
                Vec::new()
            }
            // A listing is in the store when it is complete, not before.
            Event::Init | Event::InitApply(_) => Vec::new(),
            Event::InitDone => {
                // Objects that were deleted or finished while the watch was down are just missing.
                tracker.retain(&self.uids());
                let present = self.present();
                present.iter().map(|object| Object::from_obj(&**object)).collect()
            }
        }
    }
}

/// The objects that are new or have changed. Those that leave the watch are removed from the tracker.
pub(crate) fn unfinished(
    with: &Arc<Dependencies>,
    tracker: Arc<Tracker>,
) -> (Unfinished, impl Stream<Item = Object> + Send + use<>) {
    let (store, writer) = reflector::store();
    // Listed in pages and then watched: streamed lists are not on by default in all versions of Kubernetes
    // since 1.32.
    let config = watcher::Config::default()
        .fields(&with.unfinished)
        .page_size(LIST_PAGE)
        .timeout(WATCH_SECONDS);
    let unfinished = Unfinished {
        store,
        is_current: Arc::default(),
    };
    let (watched, with) = (unfinished.clone(), Arc::clone(with));
    let (all, revisions) = (with.all.clone(), with.revisions.clone());
    let watching = move || {
        let watched = watcher::watcher(all.clone(), config.clone()).modify(strip_unused);
        Box::pin(watched.backoff(ConstantBackoff::WATCH))
    };
    let changed = anew_after_restores(watching, revisions)
        .reflect(writer)
        .flat_map(move |event| {
            let changed = event.map(|event| watched.observe(event, &tracker));
            stream::iter(changed.unwrap_or_else(|error| {
                // The watch continues where it was, or lists anew. Readiness reports it when Kubernetes is
                // unavailable.
                watched.is_current.store(false, Ordering::Relaxed);
                with.metrics.failed("watch");
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the watch is interrupted");
                Vec::new()
            }))
        });
    (unfinished, changed)
}

/// The events of a watch, which begins anew, with a list, when the database of Kubernetes went back in time.
pub(super) fn anew_after_restores<S>(
    watch: impl Fn() -> S,
    revisions: Revisions,
) -> impl Stream<Item = watcher::Result<Event<ArxivQuery>>>
where
    S: Stream<Item = watcher::Result<Event<ArxivQuery>>> + Unpin,
{
    let (first, restores) = (watch(), revisions.restores());
    stream::unfold(
        (first, restores, watch),
        move |(mut events, mut restores, watch)| {
            let revisions = revisions.clone();
            async move {
                loop {
                    tokio::select! {
                        biased;
                        () = restores.next() => events = watch(),
                        event = events.next() => {
                            let event = event?;
                            if let Ok(Event::Apply(object) | Event::Delete(object) | Event::InitApply(object)) = &event {
                                revisions.saw(object.metadata.resource_version.as_deref());
                            }
                            return Some((event, (events, restores, watch)));
                        }
                    }
                }
            }
        },
    )
}

/// Removes the parts of an object that are not used here: field managers, other labels, and annotations (where
/// kubectl keeps a copy of the whole object).
fn strip_unused(object: &mut ArxivQuery) {
    let metadata = &mut object.metadata;
    metadata.managed_fields = None;
    if let Some(labels) = &mut metadata.labels {
        labels.retain(|name, _| name == CLIENT_LABEL || name == VELERO_LABEL);
    }
    metadata.owner_references = None;
    if let Some(annotations) = &mut metadata.annotations {
        annotations.retain(|name, value| {
            let marks = [FAIL_FAST_ANNOTATION, RESTORED_ANNOTATION];
            marks.contains(&name.as_str()) || is_usable(name, value)
        });
    }
}

/// The same pause each time.
pub(super) struct ConstantBackoff(Duration);

impl ConstantBackoff {
    /// Between two attempts to watch.
    pub(super) const WATCH: Self = Self(RETRY_DELAY);
}

impl Iterator for ConstantBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.0)
    }
}

impl Backoff for ConstantBackoff {
    fn reset(&mut self) {}
}
