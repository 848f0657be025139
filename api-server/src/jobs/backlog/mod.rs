//! The unfinished queries of this namespace: how many there are, to which clients they belong, and the position of each
//! in the queue. Updated by the one watch; of the finished queries only the last few are kept.

mod admission;
mod queued;
mod snapshot;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crd::ArxivQuery;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;

use self::queued::QueuedQuery;
pub(crate) use self::{
    admission::Quotas,
    snapshot::{Counts, QueuePosition, Snapshot},
};

/// Queries whose position is known: at some 500 bytes each ten megabytes. Queries beyond this number are only counted.
const MAX_TRACKED: usize = 20_000;
/// Finished queries that are kept, newest first.
const MAX_ENDED: usize = 20;

/// The unfinished queries of the namespace.
pub(crate) struct Backlog {
    state: Mutex<State>,
    /// A version, incremented at each change.
    changes: watch::Sender<u64>,
    snapshot: Mutex<Option<Arc<Snapshot>>>,
    quotas: Quotas,
    /// The least time between two requests to arXiv.
    interval: Duration,
    /// The highest priority that counts in this namespace.
    ceiling: i32,
    count: Gauge,
}

#[derive(Default)]
struct State {
    tracked: HashMap<String, Arc<QueuedQuery>>,
    /// The names of queries beyond [`MAX_TRACKED`].
    overflow: HashSet<String>,
    /// Queries that this process creates or created and that the watch has not seen so far: the label of their client.
    creating: HashMap<String, Option<String>>,
    ended: VecDeque<Arc<ArxivQuery>>,
}

/// A list of the unfinished queries that is being read.
pub(crate) struct Listing {
    state: State,
    /// Names that were in `creating` before the list was requested: they are in the list, or have finished.
    awaited: HashSet<String>,
}

impl Listing {
    pub(crate) fn add(&mut self, object: &ArxivQuery) {
        if let Some(name) = object.metadata.name.as_deref() {
            self.state.track(name, object);
        }
    }
}

impl Backlog {
    pub(crate) fn new(quotas: Quotas, interval: Duration, ceiling: i32, count: Gauge) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            changes: watch::Sender::new(0),
            snapshot: Mutex::default(),
            quotas,
            interval,
            ceiling,
            count,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin_listing(&self) -> Listing {
        Listing {
            state: State::default(),
            awaited: self.lock().creating.keys().cloned().collect(),
        }
    }

    /// The list is complete: it replaces what was known before.
    pub(crate) fn replace(&self, listing: Listing) {
        let mut listed = listing.state;
        self.update(|state| {
            for (name, queued) in &mut listed.tracked {
                if let Some(known) = state.tracked.get(name) {
                    Arc::make_mut(queued).keep_age_of(known);
                }
            }
            let mut creating = std::mem::take(&mut state.creating);
            creating.retain(|name, _| !listing.awaited.contains(name) && !listed.has(name));
            listed.creating = creating;
            listed.ended = std::mem::take(&mut state.ended);
            *state = listed;
        });
    }

    /// The current state of an object.
    pub(crate) fn on_update(&self, object: &Arc<ArxivQuery>) {
        let Some(name) = object.metadata.name.as_deref() else {
            return;
        };
        self.update(|state| {
            state.creating.remove(name);
            if object.phase().is_final() {
                state.end(name, object);
            } else {
                state.track(name, object);
            }
        });
    }

    /// The object of this name was deleted.
    pub(crate) fn on_delete(&self, name: &str) {
        self.update(|state| {
            state.creating.remove(name);
            state.forget(name);
        });
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        let count = {
            let mut state = self.lock();
            change(&mut state);
            state.tracked.len() + state.overflow.len()
        };
        self.count.set(i64::try_from(count).unwrap_or(i64::MAX));
        self.changes.send_modify(|version| *version += 1);
    }

    /// Whether after a new list queries could be tracked that are only counted now.
    pub(crate) fn needs_relist(&self) -> bool {
        let state = self.lock();
        !state.overflow.is_empty() && state.tracked.len() < MAX_TRACKED / 2
    }

    /// A query's position in the queue, if it waits.
    pub(crate) fn position(&self, name: &str) -> Option<QueuePosition> {
        self.snapshot().position(name)
    }

    /// A receiver of changes, which may come very often.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

impl State {
    fn has(&self, name: &str) -> bool {
        self.tracked.contains_key(name) || self.overflow.contains(name)
    }

    fn track(&mut self, name: &str, object: &ArxivQuery) {
        let mut queued = QueuedQuery::of(object);
        if let Some(known) = self.tracked.get(name) {
            queued.keep_age_of(known);
        } else if self.tracked.len() >= MAX_TRACKED {
            self.overflow.insert(name.to_owned());
            return;
        }
        self.overflow.remove(name);
        self.tracked.insert(name.to_owned(), Arc::new(queued));
    }

    /// A query has finished, or a finished one was changed, which keeps its place.
    fn end(&mut self, name: &str, object: &Arc<ArxivQuery>) {
        self.tracked.remove(name);
        self.overflow.remove(name);
        let known = self
            .ended
            .iter_mut()
            .find(|known| known.metadata.name.as_deref() == Some(name));
        if let Some(known) = known.filter(|known| known.metadata.uid == object.metadata.uid) {
            *known = Arc::clone(object);
            return;
        }
        self.forget(name);
        self.ended.push_front(Arc::clone(object));
        self.ended.truncate(MAX_ENDED);
    }

    fn forget(&mut self, name: &str) {
        self.tracked.remove(name);
        self.overflow.remove(name);
        self.ended
            .retain(|object| object.metadata.name.as_deref() != Some(name));
    }

    /// The queries in the queue, including those that are being created: of all clients, and of this one.
    fn pending(&self, client: Option<&str>) -> (usize, usize) {
        let queued = self.tracked.values().filter(|queued| queued.is_runnable());
        let clients = queued.map(|queued| queued.client.as_deref());
        let clients = clients.chain(self.creating.values().map(Option::as_deref));
        clients.fold((self.overflow.len(), 0), |(all, own), of| {
            (all + 1, own + usize::from(of.is_some() && of == client))
        })
    }
}

#[cfg(test)]
mod tests;
