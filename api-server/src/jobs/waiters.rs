//! The requests that wait for an object, by the object's name.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crd::ArxivQuery;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;

/// Clients of /arxiv that wait at once. Below the limit of connections, so that others are served at the same time.
pub(crate) const MAX_WAITERS: usize = 768;

/// An event for a waiter.
#[derive(Clone, Debug, Default)]
pub(crate) enum Event {
    /// Nothing yet.
    #[default]
    None,
    /// Events may have been lost: read the object.
    Resync,
    /// The object has changed and has not finished.
    Updated(Arc<ArxivQuery>),
    /// The object has finished.
    Completed(Arc<ArxivQuery>),
}

/// All waiters of this process, by the name of their object. Several may wait for one object.
pub(crate) struct Waiters {
    by_name: Mutex<HashMap<String, watch::Sender<Event>>>,
    limit: usize,
    count: Gauge,
}

impl Waiters {
    /// `limit`: most names that are waited for at once.
    pub(crate) fn new(limit: usize, count: Gauge) -> Arc<Self> {
        Arc::new(Self {
            by_name: Mutex::default(),
            limit,
            count,
        })
    }

    /// Registers a waiter; to be called before the object is created. `None` if there are too many.
    pub(crate) fn register(self: &Arc<Self>, name: &str) -> Option<Waiter> {
        let mut by_name = self.lock();
        let events = if let Some(sender) = by_name.get(name) {
            sender.subscribe()
        } else {
            if by_name.len() >= self.limit {
                return None;
            }
            let (sender, events) = watch::channel(Event::None);
            by_name.insert(name.to_owned(), sender);
            events
        };
        self.count.inc();
        Some(Waiter {
            waiters: Arc::clone(self),
            name: name.to_owned(),
            events,
        })
    }

    /// Reports an object's new state to its waiters.
    pub(crate) fn on_update(&self, object: &Arc<ArxivQuery>) {
        let by_name = self.lock();
        let Some(sender) = object.metadata.name.as_deref().and_then(|name| by_name.get(name)) else {
            return;
        };
        sender.send_replace(if object.phase().is_final() {
            Event::Completed(Arc::clone(object))
        } else {
            Event::Updated(Arc::clone(object))
        });
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
    sender.send_if_modified(|event| match event {
        Event::Completed(_) => false,
        Event::None | Event::Resync | Event::Updated(_) => {
            *event = Event::Resync;
            true
        }
    });
}

/// One registration; dropping it ends it.
pub(crate) struct Waiter {
    waiters: Arc<Waiters>,
    name: String,
    events: watch::Receiver<Event>,
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
        // This one still counts as a receiver.
        if by_name
            .get(&self.name)
            .is_some_and(|sender| sender.receiver_count() <= 1)
        {
            by_name.remove(&self.name);
        }
        self.waiters.count.dec();
    }
}

#[cfg(test)]
mod tests {
    use crd::{ArxivQuerySpec, ArxivQueryStatus, Phase};

    use super::*;

    fn object(name: &str, phase: Phase) -> Arc<ArxivQuery> {
        let mut object = ArxivQuery::new(name, ArxivQuerySpec::default());
        object.status = Some(ArxivQueryStatus {
            phase,
            ..ArxivQueryStatus::default()
        });
        Arc::new(object)
    }

    #[tokio::test]
    async fn waiter_gets_events_of_its_own_object_only() {
        let waiters = Waiters::new(10, Gauge::default());
        let mut waiter = waiters.register("a").unwrap();
        waiters.on_update(&object("b", Phase::Succeeded));
        waiters.on_delete("b");
        assert!(!waiter.events.has_changed().unwrap());
        waiters.on_update(&object("a", Phase::Running));
        assert!(matches!(waiter.next_event().await, Event::Updated(_)));
        waiters.on_update(&object("a", Phase::Succeeded));
        assert!(
            matches!(waiter.next_event().await, Event::Completed(object) if object.phase() == Phase::Succeeded)
        );
    }

    #[tokio::test]
    async fn waiter_keeps_completion_when_object_is_deleted() {
        let waiters = Waiters::new(10, Gauge::default());
        let mut waiter = waiters.register("a").unwrap();
        waiters.on_delete("a");
        assert!(matches!(waiter.next_event().await, Event::Resync));
        waiters.on_update(&object("a", Phase::Failed));
        waiters.on_delete("a");
        waiters.on_resync();
        assert!(matches!(waiter.next_event().await, Event::Completed(_)));
    }

    #[tokio::test]
    async fn waiters_of_one_object_all_get_its_completion() {
        let waiters = Waiters::new(1, Gauge::default());
        let (first, second) = (waiters.register("a").unwrap(), waiters.register("a"));
        let mut second = second.unwrap();
        drop(first);
        waiters.on_update(&object("a", Phase::Succeeded));
        assert!(matches!(second.next_event().await, Event::Completed(_)));
        drop(second);
        assert!(waiters.lock().is_empty());
    }

    #[test]
    fn register_fails_when_there_are_too_many_waiters() {
        let count = Gauge::default();
        let waiters = Waiters::new(2, count.clone());
        let first = waiters.register("a");
        let second = waiters.register("b");
        assert!(first.is_some() && second.is_some() && waiters.register("c").is_none());
        assert_eq!(count.get(), 2);
        drop(first);
        assert!(waiters.register("c").is_some());
        assert_eq!(count.get(), 1);
        assert_eq!(waiters.lock().len(), 1);
    }
}
