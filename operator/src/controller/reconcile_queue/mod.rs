//! The objects that wait for a reconciliation. Only so many run at once; which is next is decided as for requests to
//! arXiv: by priority, then namespaces and their clients in turn, then by arrival.
//!
//! kube-runtime's applier takes any of the objects that it has been given. So it is given only those whose turn it is,
//! and one that it begins by itself, after the time that a reconciliation asked for, waits here like all others.
//! The queue holds an object at most once: its size is limited by the unfinished objects.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{Stream, StreamExt, stream};
use queue::{FairQueue, QueueEntry};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::fetch::tracker::Object;

/// An object's place in the order; none for one that does not exist any more.
type PlaceOf = dyn Fn(&Object) -> Option<QueueEntry> + Send + Sync;

/// The waiting and the running reconciliations of one controller.
pub(super) struct ReconcileQueue {
    state: Mutex<State>,
    /// Something waits, or a reconciliation has ended.
    changed: Notify,
    place: Box<PlaceOf>,
}

/// What was given to the applier.
#[derive(Debug, Default)]
struct Given {
    has_begun: bool,
    /// The place of one that was triggered again meanwhile: it waits when it has ended.
    again: Option<QueueEntry>,
}

#[derive(Debug)]
struct State {
    order: FairQueue,
    waiting: HashMap<Object, QueueEntry>,
    /// The names of those that wait.
    names: HashMap<Uuid, Object>,
    given: HashMap<Object, Given>,
    /// The most that are given to the applier at once.
    limit: usize,
}

/// The turn of an object; it ends when this is dropped.
pub(super) struct Turn {
    queue: Arc<ReconcileQueue>,
    object: Object,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.queue.ended(&self.object);
    }
}

impl ReconcileQueue {
    /// An empty one, for at most `limit` reconciliations at once.
    pub(super) fn new(
        limit: u16,
        place: impl Fn(&Object) -> Option<QueueEntry> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State::new(limit)),
            changed: Notify::new(),
            place: Box::new(place),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic ends the process, and no update here is partial.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The objects of `triggers`, each when it is its turn. Ends with `triggers`.
    pub(super) fn turns(
        self: Arc<Self>,
        triggers: impl Stream<Item = Object> + Send + 'static,
    ) -> impl Stream<Item = Object> + Send {
        stream::unfold((self, triggers.boxed()), async |(queue, mut triggers)| {
            loop {
                tokio::select! {
                    // All that have arrived are compared.
                    biased;
                    object = triggers.next() => queue.take(object?),
                    object = queue.next() => return Some((object, (queue, triggers))),
                }
            }
        })
    }

    /// The next object. Nothing is lost when this is dropped before it is ready.
    async fn next(&self) -> Object {
        loop {
            let next = self.state().pop();
            if let Some(object) = next {
                return object;
            }
            self.changed.notified().await;
        }
    }

    /// An object has changed: it waits, unless it is gone.
    fn take(&self, object: Object) {
        let place = (self.place)(&object);
        self.state().set(object, place);
    }

    /// The applier begins with an object: its turn, or nothing if it is not its turn, and then it waits for one.
    pub(super) fn begin(self: &Arc<Self>, object: Object) -> Option<Turn> {
        if self.state().begin(&object) {
            let queue = Arc::clone(self);
            return Some(Turn { queue, object });
        }
        self.take(object);
        self.changed.notify_one();
        None
    }

    /// Its reconciliation has ended, or the applier has found that the object is gone.
    pub(super) fn ended(&self, object: &Object) {
        self.state().ended(object);
        self.changed.notify_one();
    }
}

impl State {
    fn new(limit: u16) -> Self {
        Self {
            order: FairQueue::default(),
            waiting: HashMap::new(),
            names: HashMap::new(),
            given: HashMap::new(),
            limit: usize::from(limit).max(1),
        }
    }

    /// Lets an object wait at this place, or not any more. One that waits already keeps its arrival.
    fn set(&mut self, object: Object, place: Option<QueueEntry>) {
        if let Some(given) = self.given.get_mut(&object) {
            given.again = place.map(|place| earlier(place, given.again.take()));
            return;
        }
        let before = self.waiting.remove(&object);
        if let Some(before) = &before {
            self.order.remove(before);
            self.names.remove(&before.query);
        }
        if let Some(place) = place {
            let place = earlier(place, before);
            self.order.insert(&place);
            self.names.insert(place.query, object.clone());
            self.waiting.insert(object, place);
        }
    }

    fn pop(&mut self) -> Option<Object> {
        if self.given.len() >= self.limit {
            return None;
        }
        let object = self.names.remove(&self.order.first()?)?;
        let place = self.waiting.remove(&object)?;
        self.order.mark_served(&place);
        self.order.remove(&place);
        self.given.insert(object.clone(), Given::default());
        Some(object)
    }

    /// Whether it is the object's turn.
    fn begin(&mut self, object: &Object) -> bool {
        let given = self.given.get_mut(object).filter(|given| !given.has_begun);
        given.is_some_and(|given| {
            given.has_begun = true;
            true
        })
    }

    fn ended(&mut self, object: &Object) {
        if let Some(again) = self.given.remove(object).and_then(|given| given.again) {
            self.set(object.clone(), Some(again));
        }
    }
}

/// The place of an object that had one before, with the earlier arrival; another object of the same name has its own.
fn earlier(place: QueueEntry, before: Option<QueueEntry>) -> QueueEntry {
    let before = before.filter(|before| before.query == place.query);
    let age = before.map_or(place.age, |before| before.age.min(place.age));
    QueueEntry { age, ..place }
}

#[cfg(test)]
mod tests;
