//! The watch on unfinished ArxivQuery objects. Finished ones leave it, so neither memory nor a restart grows
//! with them. Each watched namespace has a watch of its own; all of them fill one store.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use cluster::Revisions;
use crd::{ArxivQuery, CLIENT_LABEL, RESTORED_ANNOTATION, VELERO_LABEL};
use futures::{Stream, StreamExt, stream};
use kube::runtime::{
    WatchStreamExt,
    reflector::{self, Store, store::Writer},
    utils::Backoff,
    watcher::{self, Event},
};
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

/// The unfinished objects, as the watch sees them.
#[derive(Clone)]
pub(crate) struct Unfinished {
    pub(crate) store: Store<ArxivQuery>,
    /// Of each watch, whether the store holds what it has seen: the last thing that it got was an event, not an
    /// error or a part of a listing.
    are_current: Arc<[AtomicBool]>,
}

impl Unfinished {
    /// Whether the store holds the present state of everything that is watched.
    pub(crate) fn is_current(&self) -> bool {
        self.are_current.iter().all(|is| is.load(Ordering::Relaxed))
    }

    fn set_current(&self, watch: usize, is_current: bool) {
        if let Some(current) = self.are_current.get(watch) {
            current.store(is_current, Ordering::Relaxed);
        }
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
}

/// Brings the events of several watches into one store.
struct Feed {
    unfinished: Unfinished,
    writer: Writer<ArxivQuery>,
    tracker: Arc<Tracker>,
    /// Of each watch, what its listing has brought so far.
    listed: Vec<HashSet<Object>>,
    /// Of each watch, its namespace; none if it is about all.
    namespaces: Vec<Option<String>>,
}

impl Feed {
    fn new(namespaces: Vec<Option<String>>, tracker: Arc<Tracker>) -> Self {
        let (store, mut writer) = reflector::store();
        // The controller waits until the store was filled once. Here objects come one by one.
        writer.apply_watcher_event(&Event::Init);
        writer.apply_watcher_event(&Event::InitDone);
        Self {
            unfinished: Unfinished {
                store,
                are_current: namespaces.iter().map(|_| AtomicBool::new(false)).collect(),
            },
            writer,
            tracker,
            listed: namespaces.iter().map(|_| HashSet::new()).collect(),
            namespaces,
        }
    }

    /// Stores what a watch has seen; returns the objects to reconcile.
    fn take(&mut self, watch: usize, event: Event<ArxivQuery>) -> Vec<Object> {
        let listing = matches!(event, Event::Init | Event::InitApply(_));
        if listing {
            self.unfinished.set_current(watch, false);
        }
        let changed = match event {
            Event::Apply(object) => {
                self.writer.apply_watcher_event(&Event::Apply(object.clone()));
                self.observe(&object)
            }
            Event::Delete(object) => {
                self.untrack(&object);
                self.writer.apply_watcher_event(&Event::Delete(object));
                Vec::new()
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
            return Vec::new();
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
        let namespace = self.namespaces[watch].as_deref();
        for object in self.unfinished.store.state() {
            let of_this_watch = namespace.is_none() || object.metadata.namespace.as_deref() == namespace;
            if of_this_watch && !listed.contains(&Object::from_obj(&*object)) {
                let gone = Event::Delete(Arc::unwrap_or_clone(object));
                self.writer.apply_watcher_event(&gone);
            }
        }
        self.tracker.retain(&self.unfinished.uids());
        let present = self.unfinished.present();
        let present = present.iter().map(|object| Object::from_obj(&**object));
        present.filter(|object| listed.contains(object)).collect()
    }
}

/// The objects that are new or have changed. Those that leave the watch are removed from the tracker.
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
            let events = watcher::watcher(queries.clone(), config.clone()).modify(strip_unused);
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
    if let Some(owners) = &mut metadata.owner_references {
        owners.retain(is_feed);
    }
    if let Some(annotations) = &mut metadata.annotations {
        annotations.retain(|name, value| name == RESTORED_ANNOTATION || is_usable(name, value));
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

#[cfg(test)]
mod tests {
    use crd::ArxivQuerySpec;

    use super::*;

    fn object(namespace: &str, name: &str) -> ArxivQuery {
        let mut object = ArxivQuery::new(name, ArxivQuerySpec::default());
        object.metadata.namespace = Some(namespace.into());
        object.metadata.uid = Some(Uuid::new_v4().to_string());
        object
    }

    fn feed(namespaces: &[Option<&str>]) -> Feed {
        let namespaces = namespaces.iter().map(|name| name.map(str::to_owned));
        Feed::new(
            namespaces.collect(),
            Tracker::new(queue::PriorityCeilings::default()).0,
        )
    }

    /// Takes a listing of these; returns the names of what is reconciled after it.
    fn list(feed: &mut Feed, watch: usize, objects: &[&ArxivQuery]) -> Vec<String> {
        assert!(feed.take(watch, Event::Init).is_empty());
        for object in objects {
            assert!(feed.take(watch, Event::InitApply((*object).clone())).is_empty());
            assert!(!feed.unfinished.is_current(), "a part of a listing");
        }
        let changed = feed.take(watch, Event::InitDone);
        names(changed.into_iter().map(|object| (object.namespace, object.name)))
    }

    fn stored(feed: &Feed) -> Vec<String> {
        let objects = feed.unfinished.store.state();
        let named =
            |object: &Arc<ArxivQuery>| (object.metadata.namespace.clone(), object.metadata.name.clone());
        names(
            objects
                .iter()
                .map(named)
                .map(|(namespace, name)| (namespace, name.unwrap_or_default())),
        )
    }

    fn names(objects: impl Iterator<Item = (Option<String>, String)>) -> Vec<String> {
        let mut names: Vec<_> = objects
            .map(|(namespace, name)| format!("{}/{name}", namespace.unwrap_or_default()))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn listing_of_one_namespace_removes_what_is_gone_there_and_nothing_elsewhere() {
        let mut feed = feed(&[Some("a"), Some("b")]);
        let (kept, gone, other) = (object("a", "kept"), object("a", "gone"), object("b", "gone"));
        assert_eq!(list(&mut feed, 0, &[&kept, &gone]), ["a/gone", "a/kept"]);
        assert!(!feed.unfinished.is_current(), "b is not listed yet");
        assert_eq!(list(&mut feed, 1, &[&other]), ["b/gone"]);
        assert!(feed.unfinished.is_current());
        assert_eq!(list(&mut feed, 0, &[&kept]), ["a/kept"]);
        assert_eq!(stored(&feed), ["a/kept", "b/gone"]);
        assert_eq!(feed.unfinished.uids().len(), 2);
        assert!(feed.take(1, Event::Delete(other)).is_empty());
        assert_eq!(stored(&feed), ["a/kept"]);
    }

    #[test]
    fn one_watch_on_all_namespaces_removes_what_is_gone_in_any() {
        let mut feed = feed(&[None]);
        let (first, second) = (object("a", "q"), object("b", "q"));
        assert_eq!(list(&mut feed, 0, &[&first, &second]), ["a/q", "b/q"]);
        let third = object("c", "q");
        assert_eq!(feed.take(0, Event::Apply(third)).len(), 1);
        assert_eq!(list(&mut feed, 0, &[&second]), ["b/q"]);
        assert_eq!(stored(&feed), ["b/q"]);
    }
}
