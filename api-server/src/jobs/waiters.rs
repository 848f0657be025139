//! The requests that wait for an object, by the object's name.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crd::ArxivQuery;
use tokio::sync::watch;

use crate::{
    error::{ApiError, Code},
    limits::{
        client::Client,
        slots::{Exceeded, Slot, Slots},
    },
};

/// An event for a waiter.
#[derive(Clone, Debug, Default)]
pub(crate) enum Event {
    /// Nothing yet.
    #[default]
    None,
    /// Events may have been lost: read the object.
    Resync,
    /// The object has changed; when it has finished, this is the last event.
    Changed(Arc<ArxivQuery>),
}

/// All waiters of this process, by the name of their object. Several may wait for one object.
pub(crate) struct Waiters {
    by_name: Mutex<HashMap<String, watch::Sender<Event>>>,
    slots: Slots,
}

impl Waiters {
    pub(crate) fn new(slots: Slots) -> Arc<Self> {
        Arc::new(Self {
            by_name: Mutex::default(),
            slots,
        })
    }

    /// Registers a waiter; to be called before the object is created. 429 if there are too many waiters.
    pub(crate) fn register(self: &Arc<Self>, name: &str, client: &Client) -> Result<Waiter, ApiError> {
        let slot = self.slots.try_acquire(Some(client)).map_err(|exceeded| {
            let (name, most) = match exceeded {
                Exceeded::Total => ("waiting", self.slots.size()),
                Exceeded::Share => ("waiting-of-client", self.slots.share()),
            };
            let text = "Too many searches are waiting for their answer";
            ApiError::too_many(Code::TooManyWaiting, text, name, most)
        })?;
        let events = self.lock().entry(name.to_owned()).or_default().subscribe();
        Ok(Waiter {
            waiters: Arc::clone(self),
            name: name.to_owned(),
            events,
            _slot: slot,
        })
    }

    /// Reports an object's new state to its waiters.
    pub(crate) fn on_update(&self, object: &Arc<ArxivQuery>) {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        if let Some(sender) = self.lock().get(name) {
            sender.send_replace(Event::Changed(Arc::clone(object)));
        }
    }

    /// An object was deleted, or cannot be decoded: its waiters read it themselves.
    pub(crate) fn on_delete(&self, name: &str) {
        if let Some(sender) = self.lock().get(name) {
            resync(sender);
        }
    }

    /// The watch was restarted, so any event may have been lost.
    pub(crate) fn on_resync(&self) {
        self.lock().values().for_each(resync);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<Event>>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A completion that is known already stays known.
fn resync(sender: &watch::Sender<Event>) {
    sender.send_if_modified(|event| {
        let is_final = matches!(event, Event::Changed(object) if object.phase().is_final());
        if !is_final {
            *event = Event::Resync;
        }
        !is_final
    });
}

/// One registration; dropping it ends it.
pub(crate) struct Waiter {
    waiters: Arc<Waiters>,
    name: String,
    events: watch::Receiver<Event>,
    _slot: Slot,
}

impl Waiter {
    /// The next event.
    pub(crate) async fn next_event(&mut self) -> Event {
        // The sender lives as long as this registration.
        if self.events.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.events.borrow_and_update().clone()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut by_name = self.waiters.lock();
        let sender = by_name.get(&self.name);
        // This one still counts as a receiver.
        if sender.is_some_and(|sender| sender.receiver_count() <= 1) {
            by_name.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use crd::{ArxivQuerySpec, ArxivQueryStatus, Phase};

    use super::*;
    use crate::limits::table;

    fn waiters() -> Arc<Waiters> {
        Waiters::new(Slots::new(&table::WAITERS))
    }

    fn other() -> Client {
        Client::at([192, 0, 2, 2].into())
    }

    fn object(name: &str, phase: Phase) -> Arc<ArxivQuery> {
        let mut object = ArxivQuery::new(name, ArxivQuerySpec::default());
        object.status = Some(ArxivQueryStatus {
            phase,
            ..ArxivQueryStatus::default()
        });
        Arc::new(object)
    }

    fn phase(event: Event) -> Option<Phase> {
        match event {
            Event::Changed(object) => Some(object.phase()),
            Event::None | Event::Resync => None,
        }
    }

    #[tokio::test]
    async fn waiter_gets_events_of_its_own_object_only() {
        let waiters = waiters();
        let mut waiter = waiters.register("a", &other()).unwrap();
        waiters.on_update(&object("b", Phase::Succeeded));
        waiters.on_delete("b");
        assert!(!waiter.events.has_changed().unwrap());
        waiters.on_update(&object("a", Phase::Running));
        assert_eq!(phase(waiter.next_event().await), Some(Phase::Running));
        waiters.on_update(&object("a", Phase::Succeeded));
        assert_eq!(phase(waiter.next_event().await), Some(Phase::Succeeded));
    }

    #[tokio::test]
    async fn waiter_keeps_completion_when_object_is_deleted() {
        let waiters = waiters();
        let mut waiter = waiters.register("a", &other()).unwrap();
        waiters.on_delete("a");
        assert!(matches!(waiter.next_event().await, Event::Resync));
        waiters.on_update(&object("a", Phase::Failed));
        waiters.on_delete("a");
        waiters.on_resync();
        assert_eq!(phase(waiter.next_event().await), Some(Phase::Failed));
    }

    #[tokio::test]
    async fn waiters_of_one_object_all_get_its_completion() {
        let waiters = waiters();
        let (first, second) = (
            waiters.register("a", &other()).unwrap(),
            waiters.register("a", &other()),
        );
        let mut second = second.unwrap();
        drop(first);
        waiters.on_update(&object("a", Phase::Succeeded));
        assert_eq!(phase(second.next_event().await), Some(Phase::Succeeded));
        drop(second);
        assert!(waiters.lock().is_empty());
    }

    #[test]
    fn register_fails_when_there_are_too_many_waiters() {
        let slots = Slots::new(&table::WAITERS);
        let waiters = Waiters::new(slots.clone());
        let [client, third] = [1, 3].map(|n| Client::at([192, 0, 2, n].into()));
        let mut own: Vec<_> = (0..384)
            .map(|_| waiters.register("a", &client).unwrap())
            .collect();
        assert!(waiters.register("a", &client).is_err());
        let others: Vec<_> = (0..384)
            .map(|_| waiters.register("b", &other()).unwrap())
            .collect();
        let refused = waiters.register("c", &third).err().unwrap();
        assert!(refused.is(Code::TooManyWaiting));
        own.pop();
        assert!(waiters.register("c", &third).is_ok());
        drop(others);
        assert_eq!((slots.used(), waiters.lock().len()), (383, 1));
    }
}
