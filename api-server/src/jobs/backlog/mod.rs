//! What waits in this namespace: how much of it, whose it is, and where each query stands. Fed by the one watch; what
//! has ended is forgotten but for the last few.

mod admission;
mod places;
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

pub(crate) use admission::Bounds;
pub(crate) use places::InQueue;
pub(crate) use searched::Searched;
pub(crate) use snapshot::{Counts, Snapshot};
pub(crate) use waiting::Waiting;

/// Queries whose place is known: at some 400 bytes each a few megabytes. Those beyond are only counted.
const MAX_HELD: usize = 20_000;
/// Ended queries that are remembered, newest first.
const MAX_ENDED: usize = 20;

/// The unfinished queries of the namespace.
pub(crate) struct Backlog {
    state: Mutex<State>,
    /// Raised at each change.
    changes: watch::Sender<u64>,
    snapshot: Mutex<Option<Arc<Snapshot>>>,
    bounds: Bounds,
    /// The least time between two requests to arXiv.
    interval: Duration,
    count: Gauge,
}

#[derive(Default)]
struct State {
    held: HashMap<Arc<str>, Arc<Waiting>>,
    /// How many of those want a turn: all but the suspended ones, however long they stay.
    wanting: usize,
    /// Names beyond those that are held.
    counted: HashSet<Arc<str>>,
    /// Made, or being made, by this process and not seen by the watch so far: the label of their client.
    coming: HashMap<String, Option<String>>,
    of_client: HashMap<String, usize>,
    ended: VecDeque<Arc<ArxivQuery>>,
}

/// A list of the unfinished queries on its way.
pub(crate) struct Listing {
    state: State,
    /// Names that were coming before the list was asked for: they are in it, or have ended.
    awaited: Vec<String>,
}

impl Listing {
    pub(crate) fn add(&mut self, object: &ArxivQuery) {
        if let Some(name) = object.metadata.name.as_deref() {
            self.state.hold(name, object);
        }
    }
}

impl Backlog {
    pub(crate) fn new(bounds: Bounds, interval: Duration, count: Gauge) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            changes: watch::Sender::new(0),
            snapshot: Mutex::default(),
            bounds,
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
            awaited: self.lock().coming.keys().cloned().collect(),
        }
    }

    /// The list is complete, and what was known before is replaced by it.
    pub(crate) fn listed(&self, listing: Listing) {
        {
            let mut state = self.lock();
            let mut listed = listing.state;
            listed.ended = std::mem::take(&mut state.ended);
            for (name, waiting) in &mut listed.held {
                if let Some(known) = state.held.get(name) {
                    Arc::make_mut(waiting).seen_before(known);
                }
            }
            let mut coming = std::mem::take(&mut state.coming);
            for name in &listing.awaited {
                coming.remove(name);
            }
            for (name, client) in coming {
                if !listed.has(&name) {
                    listed.count_client(client.as_deref());
                    listed.coming.insert(name, client);
                }
            }
            *state = listed;
        }
        self.changed();
    }

    /// An object as it is now.
    pub(crate) fn seen(&self, object: &Arc<ArxivQuery>) {
        let Some(name) = object.metadata.name.as_deref() else {
            return;
        };
        {
            let mut state = self.lock();
            state.forget_coming(name);
            if object.phase().is_final() {
                state.drop_held(name);
                state.remember(object);
            } else {
                state.hold(name, object);
            }
        }
        self.changed();
    }

    /// The object of this name is gone.
    pub(crate) fn gone(&self, name: &str) {
        {
            let mut state = self.lock();
            state.forget_coming(name);
            state.drop_held(name);
            state
                .ended
                .retain(|object| object.metadata.name.as_deref() != Some(name));
        }
        self.changed();
    }

    /// Whether queries that are only counted could be held by now, if they were listed again.
    pub(crate) fn has_lost_sight(&self) -> bool {
        let state = self.lock();
        !state.counted.is_empty() && state.held.len() < MAX_HELD / 2
    }

    /// Where a query stands, if it waits.
    pub(crate) fn place(&self, name: &str) -> Option<InQueue> {
        self.snapshot().place(name)
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
        self.held.len() + self.counted.len()
    }

    fn has(&self, name: &str) -> bool {
        self.held.contains_key(name) || self.counted.contains(name)
    }

    fn hold(&mut self, name: &str, object: &ArxivQuery) {
        let mut waiting = Waiting::of(object);
        if let Some(known) = self.held.get(name) {
            waiting.seen_before(known);
        }
        self.drop_held(name);
        if self.held.len() >= MAX_HELD {
            self.counted.insert(name.into());
            return;
        }
        if waiting.wants_a_turn() {
            self.wanting += 1;
            self.count_client(waiting.client.as_deref());
        }
        self.held.insert(name.into(), Arc::new(waiting));
    }

    fn drop_held(&mut self, name: &str) {
        self.counted.remove(name);
        if let Some(waiting) = self.held.remove(name)
            && waiting.wants_a_turn()
        {
            self.wanting -= 1;
            self.discount_client(waiting.client.as_deref());
        }
    }

    fn forget_coming(&mut self, name: &str) {
        if let Some(client) = self.coming.remove(name) {
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

    /// Queries that want a turn, those on their way to Kubernetes included.
    fn pending(&self) -> usize {
        self.wanting + self.counted.len() + self.coming.len()
    }
}

#[cfg(test)]
mod tests;
