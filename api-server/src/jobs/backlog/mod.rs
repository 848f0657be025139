//! The unfinished queries of this namespace: how many there are, to which clients they belong, and the position of each
//! in the queue. Updated by the one watch; of the finished queries only the last few are kept.

mod admission;
mod positions;
mod searched;
mod snapshot;
mod waiting;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crd::ArxivQuery;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;

pub(crate) use admission::Quotas;
pub(crate) use positions::QueuePosition;
pub(crate) use searched::SearchSummary;
pub(crate) use snapshot::{Counts, Snapshot};
pub(crate) use waiting::QueuedQuery;

/// Queries whose position is known: at some 400 bytes each a few megabytes. Queries beyond this number are only counted.
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
    count: Gauge,
}

#[derive(Default)]
struct State {
    tracked: HashMap<Arc<str>, Arc<QueuedQuery>>,
    /// How many of those are in the queue: all but the suspended ones.
    runnable: usize,
    /// The names of queries beyond [`MAX_TRACKED`].
    overflow: HashSet<Arc<str>>,
    /// Queries that this process creates or created and that the watch has not seen so far: the label of their client.
    creating: HashMap<String, Option<String>>,
    of_client: HashMap<String, usize>,
    ended: VecDeque<Arc<ArxivQuery>>,
}

/// A list of the unfinished queries that is being read.
pub(crate) struct Listing {
    state: State,
    /// Names that were in `creating` before the list was requested: they are in the list, or have finished.
    awaited: Vec<String>,
}

impl Listing {
    pub(crate) fn add(&mut self, object: &ArxivQuery) {
        if let Some(name) = object.metadata.name.as_deref() {
            self.state.track(name, object);
        }
    }
}

impl Backlog {
    pub(crate) fn new(quotas: Quotas, interval: Duration, count: Gauge) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            changes: watch::Sender::new(0),
            snapshot: Mutex::default(),
            quotas,
            interval,
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
        {
            let mut state = self.lock();
            let mut listed = listing.state;
            listed.ended = std::mem::take(&mut state.ended);
            for (name, waiting) in &mut listed.tracked {
                if let Some(known) = state.tracked.get(name) {
                    Arc::make_mut(waiting).keep_age_of(known);
                }
            }
            let mut creating = std::mem::take(&mut state.creating);
            for name in &listing.awaited {
                creating.remove(name);
            }
            for (name, client) in creating {
                if !listed.has(&name) {
                    listed.count_client(client.as_deref());
                    listed.creating.insert(name, client);
                }
            }
            *state = listed;
        }
        self.changed();
    }

    /// The current state of an object.
    pub(crate) fn on_update(&self, object: &Arc<ArxivQuery>) {
        let Some(name) = object.metadata.name.as_deref() else {
            return;
        };
        {
            let mut state = self.lock();
            state.forget_creating(name);
            if object.phase().is_final() {
                state.untrack(name);
                state.remember(object);
            } else {
                state.track(name, object);
            }
        }
        self.changed();
    }

    /// The object of this name was deleted.
    pub(crate) fn on_delete(&self, name: &str) {
        {
            let mut state = self.lock();
            state.forget_creating(name);
            state.untrack(name);
            state
                .ended
                .retain(|object| object.metadata.name.as_deref() != Some(name));
        }
        self.changed();
    }

    /// Whether a new list would make room for tracking queries that are only counted now.
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

    fn changed(&self) {
        let count = self.lock().len();
        self.count.set(i64::try_from(count).unwrap_or(i64::MAX));
        self.changes.send_modify(|version| *version += 1);
    }
}

impl State {
    fn len(&self) -> usize {
        self.tracked.len() + self.overflow.len()
    }

    fn has(&self, name: &str) -> bool {
        self.tracked.contains_key(name) || self.overflow.contains(name)
    }

    fn track(&mut self, name: &str, object: &ArxivQuery) {
        let mut waiting = QueuedQuery::of(object);
        if let Some(known) = self.tracked.get(name) {
            waiting.keep_age_of(known);
        }
        self.untrack(name);
        if self.tracked.len() >= MAX_TRACKED {
            self.overflow.insert(name.into());
            return;
        }
        if waiting.is_runnable() {
            self.runnable += 1;
            self.count_client(waiting.client.as_deref());
        }
        self.tracked.insert(name.into(), Arc::new(waiting));
    }

    fn untrack(&mut self, name: &str) {
        self.overflow.remove(name);
        if let Some(waiting) = self.tracked.remove(name)
            && waiting.is_runnable()
        {
            self.runnable -= 1;
            self.discount_client(waiting.client.as_deref());
        }
    }

    fn forget_creating(&mut self, name: &str) {
        if let Some(client) = self.creating.remove(name) {
            self.discount_client(client.as_deref());
        }
    }

    fn remember(&mut self, object: &Arc<ArxivQuery>) {
        self.ended
            .retain(|known| known.metadata.name != object.metadata.name);
        self.ended.push_front(Arc::clone(object));
        self.ended.truncate(MAX_ENDED);
    }

    fn count_client(&mut self, client: Option<&str>) {
        if let Some(client) = client {
            *self.of_client.entry(client.to_owned()).or_default() += 1;
        }
    }

    fn discount_client(&mut self, client: Option<&str>) {
        let Some(client) = client else { return };
        if let Some(count) = self.of_client.get_mut(client) {
            *count -= 1;
            if *count == 0 {
                self.of_client.remove(client);
            }
        }
    }

    /// Queries in the queue, including those that are being created.
    fn pending(&self) -> usize {
        self.runnable + self.overflow.len() + self.creating.len()
    }
}

#[cfg(test)]
mod tests;
