//! The watch on unfinished ArxivQuery objects. Finished ones leave it, so neither memory nor a restart grows
//! with them. Each watched namespace has a watch of its own; all of them fill one store.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use cluster::Revisions;
use crd::{ArxivQuery, CLIENT_LABEL, QueryWithoutManagedFields, RESTORED_ANNOTATION, VELERO_LABEL};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use kube::{
    Resource,
    runtime::{
        WatchStreamExt,
        reflector::{self, Store, store::Writer},
        utils::Backoff,
        watcher::{self, Event},
    },
};
use tokio::sync::watch;
use uuid::Uuid;

use super::context::{is_feed, uid};
use crate::{
    fetch::tracker::{Object, Tracker},
    process::{correlation::is_usable, dependencies::Dependencies, kubernetes::WATCH_SECONDS},
};

/// Objects in one page of a listing, 1 to 2 kB each.
const LIST_PAGE: u32 = 500;
/// The pause after a watch that failed. Short and constant: an API server that restarts is back in seconds,
/// its 429 while it fills its cache asks for one to five, and this is one client.
const RETRY_DELAY: Duration = Duration::from_secs(2);
/// A watch that has brought an event within this time knows of everything before. Shorter than a Lease, so that no
/// other process can have taken over meanwhile.
const FRESH: Duration = Duration::from_secs(2);

/// The unfinished objects, as the watch sees them.
#[derive(Clone)]
pub(crate) struct Unfinished {
    pub(crate) store: Store<ArxivQuery>,
    watches: Arc<[WatchState]>,
}

/// What is known of one watch.
struct WatchState {
    /// The watched namespace; none if it is about all.
    namespace: Option<String>,
    /// Whether the store holds what it has seen: the last thing that it got was an event, not an error or a part of a
    /// listing.
    is_current: AtomicBool,
    /// Whether it has brought all that is unfinished, once.
    was_listed: watch::Sender<bool>,
    /// When it last brought a change. Changes come in their order: everything before has been seen.
    changed_at: Mutex<Option<Instant>>,
}

impl WatchState {
    fn is_of(&self, namespace: Option<&str>) -> bool {
        self.namespace.is_none() || self.namespace.as_deref() == namespace
    }

    fn changed_at(&self) -> MutexGuard<'_, Option<Instant>> {
        self.changed_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unfinished {
    /// Whether the store holds the present state of everything that is watched.
    pub(crate) fn is_current(&self) -> bool {
        let all = self.watches.iter();
        all.map(|watch| &watch.is_current)
            .all(|is| is.load(Ordering::Relaxed))
    }

    /// Waits until this watch, by its number among those of the watched namespaces, has brought all that is unfinished, once.
    pub(crate) async fn listed(&self, watch: usize) {
        if let Some(watch) = self.watches.get(watch) {
            // The sender is in the same place, so there is no error.
            let _ = watch.was_listed.subscribe().wait_for(|was| *was).await;
        }
    }

    fn set_current(&self, watch: usize, is_current: bool) {
        if let Some(watch) = self.watches.get(watch) {
            watch.is_current.store(is_current, Ordering::Relaxed);
        }
    }

    /// The watch has brought a change, now.
    fn set_changed(&self, watch: usize, now: Instant) {
        if let Some(watch) = self.watches.get(watch) {
            *watch.changed_at() = Some(now);
        }
    }

    /// Whether the object is as it was read a moment ago, by a change that its watch has brought since. If not, only
    /// Kubernetes knows.
    pub(super) fn confirms(&self, object: &ArxivQuery, now: Instant) -> bool {
        let metadata = &object.metadata;
        let is_fresh = |watch: &WatchState| {
            let changed_at = *watch.changed_at();
            let is_young = |at: Instant| now.saturating_duration_since(at) < FRESH;
            watch.is_current.load(Ordering::Relaxed) && changed_at.is_some_and(is_young)
        };
        let mut watches = self.watches.iter();
        watches
            .find(|watch| watch.is_of(metadata.namespace.as_deref()))
            .is_some_and(is_fresh)
            && self.store.get(&Object::from_obj(object)).is_some_and(|known| {
                known.metadata.uid == metadata.uid
                    && known.metadata.resource_version == metadata.resource_version
            })
    }

    /// The uids of all of them, except those whose deletion has begun.
    pub(crate) fn uids(&self) -> HashSet<Uuid> {
        self.present().iter().filter_map(|object| uid(object)).collect()
    }

    /// Their namespaces.
    pub(crate) fn namespaces(&self) -> BTreeSet<String> {
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
}

/// Brings the events of several watches into one store.
struct Feed {
    unfinished: Unfinished,
    writer: Writer<ArxivQuery>,
    tracker: Arc<Tracker>,
    /// Of each watch, what its listing has brought so far.
    listed: Vec<HashSet<Object>>,
}

impl Feed {
    fn new(namespaces: Vec<Option<String>>, tracker: Arc<Tracker>) -> Self {
        let (store, mut writer) = reflector::store();
        // The controller waits until the store was filled once. Here objects come one by one.
        writer.apply_watcher_event(&Event::Init);
        writer.apply_watcher_event(&Event::InitDone);
        let listed = namespaces.iter().map(|_| HashSet::new()).collect();
        let watches = namespaces.into_iter().map(|namespace| WatchState {
            namespace,
            is_current: AtomicBool::new(false),
            was_listed: watch::Sender::new(false),
            changed_at: Mutex::default(),
        });
        Self {
            unfinished: Unfinished {
                store,
                watches: watches.collect(),
            },
            writer,
            tracker,
            listed,
        }
    }

    /// Stores what a watch has seen; returns the objects that have changed or are gone.
    fn take(&mut self, watch: usize, event: Event<ArxivQuery>) -> Vec<Object> {
        let listing = matches!(event, Event::Init | Event::InitApply(_));
        if listing {
            self.unfinished.set_current(watch, false);
        }
        // Not a listing: it is as old as its first page.
        if matches!(event, Event::Apply(_) | Event::Delete(_)) {
            self.unfinished.set_changed(watch, Instant::now());
        }
        let changed = match event {
            Event::Apply(object) => {
                self.writer.apply_watcher_event(&Event::Apply(object.clone()));
                self.observe(&object)
            }
            Event::Delete(object) => {
                self.untrack(&object);
                let gone = vec![Object::from_obj(&object)];
                self.writer.apply_watcher_event(&Event::Delete(object));
                gone
            }
            Event::Init => {
                self.listed[watch].clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                self.listed[watch].insert(Object::from_obj(&object));
                self.writer.apply_watcher_event(&Event::Apply(object));
                Vec::new()
            }
            Event::InitDone => self.listing_done(watch),
        };
        if !listing {
            self.unfinished.set_current(watch, true);
        }
        changed
    }

    fn observe(&self, object: &ArxivQuery) -> Vec<Object> {
        if object.is_being_deleted() {
            // A finalizer may keep it: its work ends all the same.
            self.untrack(object);
        }
        vec![Object::from_obj(object)]
    }

    fn untrack(&self, object: &ArxivQuery) {
        if let Some(uid) = uid(object) {
            self.tracker.untrack(uid);
        }
    }

    /// Objects that were deleted or finished while the watch was down are just missing in its listing.
    fn listing_done(&mut self, watch: usize) -> Vec<Object> {
        let listed = std::mem::take(&mut self.listed[watch]);
        let unfinished = self.unfinished.clone();
        let mut changed = Vec::new();
        for object in unfinished.store.state() {
            let of_this_watch = unfinished.watches[watch].is_of(object.metadata.namespace.as_deref());
            if of_this_watch && !listed.contains(&Object::from_obj(&*object)) {
                changed.push(Object::from_obj(&*object));
                let gone = Event::Delete(Arc::unwrap_or_clone(object));
                self.writer.apply_watcher_event(&gone);
            }
        }
        unfinished.watches[watch].was_listed.send_replace(true);
        self.tracker.retain(&self.unfinished.uids());
        let present = self.unfinished.present();
        let present = present.iter().map(|object| Object::from_obj(&**object));
        changed.extend(present.filter(|object| listed.contains(object)));
        changed
    }
}

/// The objects that are new, have changed or are gone. Those that leave the watch are removed from the tracker.
pub(crate) fn unfinished(
    with: &Arc<Dependencies>,
    tracker: Arc<Tracker>,
) -> (Unfinished, impl Stream<Item = Object> + Send + use<>) {
    // Listed in pages and then watched: streamed lists are not on by default in all versions of Kubernetes
    // since 1.32.
    let config = watcher::Config::default()
        .fields(&with.unfinished)
        .page_size(LIST_PAGE)
        .timeout(WATCH_SECONDS);
    let namespaces = with
        .watched
        .iter()
        .map(|queries| queries.namespace().map(str::to_owned));
    let mut feed = Feed::new(namespaces.collect(), tracker);
    let watches = with.watched.iter().enumerate().map(|(watch, queries)| {
        let (queries, config) = (queries.clone(), config.clone());
        let watching = move || {
            let events = watcher::watcher(queries.clone(), config.clone()).map_ok(stripped(strip_unused));
            Box::pin(events.backoff(ConstantBackoff::WATCH))
        };
        let events = anew_after_restores(watching, with.revisions.clone());
        events.map(move |event| (watch, event)).boxed()
    });
    let watches = stream::select_all(watches.collect::<Vec<_>>());
    let (unfinished, with) = (feed.unfinished.clone(), Arc::clone(with));
    let changed = watches.flat_map(move |(watch, event)| {
        let changed = event.map(|event| feed.take(watch, event));
        stream::iter(changed.unwrap_or_else(|error| {
            // The watch continues where it was, or lists anew. Readiness reports it when Kubernetes is
            // unavailable.
            feed.unfinished.set_current(watch, false);
            with.metrics.failed("watch");
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the watch is interrupted");
            Vec::new()
        }))
    });
    (unfinished, changed)
}

/// The events of a watch, which begins anew, with a list, when the database of Kubernetes went back in time.
pub(crate) fn anew_after_restores<K, S>(
    watch: impl Fn() -> S,
    revisions: Revisions,
) -> impl Stream<Item = watcher::Result<Event<K>>>
where
    K: Resource,
    S: Stream<Item = watcher::Result<Event<K>>> + Unpin,
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
                                revisions.saw(object.meta().resource_version.as_deref());
                            }
                            return Some((event, (events, restores, watch)));
                        }
                    }
                }
            }
        },
    )
}

/// Events about [`ArxivQuery`] objects, after `strip`.
pub(crate) fn stripped(
    strip: fn(&mut ArxivQuery),
) -> impl Fn(Event<QueryWithoutManagedFields>) -> Event<ArxivQuery> {
    move |event| {
        let object = |decoded: QueryWithoutManagedFields| {
            let mut object = decoded.into();
            strip(&mut object);
            object
        };
        match event {
            Event::Apply(decoded) => Event::Apply(object(decoded)),
            Event::Delete(decoded) => Event::Delete(object(decoded)),
            Event::InitApply(decoded) => Event::InitApply(object(decoded)),
            Event::Init => Event::Init,
            Event::InitDone => Event::InitDone,
        }
    }
}

/// Removes the parts of an object that are not used here: other labels, and annotations (where kubectl keeps a copy of the
/// whole object).
fn strip_unused(object: &mut ArxivQuery) {
    let metadata = &mut object.metadata;
    if let Some(labels) = &mut metadata.labels {
        labels.retain(|name, _| name == CLIENT_LABEL || name == VELERO_LABEL);
    }
    if let Some(owners) = &mut metadata.owner_references {
        owners.retain(is_feed);
    }
    if let Some(annotations) = &mut metadata.annotations {
        annotations.retain(|name, value| name == RESTORED_ANNOTATION || is_usable(name, value));
    }
}

/// The same pause each time.
pub(crate) struct ConstantBackoff(Duration);

impl ConstantBackoff {
    /// Between two attempts to watch.
    pub(crate) const WATCH: Self = Self(RETRY_DELAY);
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

#[cfg(test)]
mod tests;
