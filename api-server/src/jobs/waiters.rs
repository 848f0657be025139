//! Who waits for which object.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crd::ArxivQuery;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;

/// What a waiter is told.
#[derive(Clone, Debug, Default)]
pub(crate) enum News {
    /// Nothing yet.
    #[default]
    None,
    /// Something may have been missed: look at the object itself.
    Look,
    /// The object is on its way.
    Seen(Arc<ArxivQuery>),
    /// The object has ended.
    Finished(Arc<ArxivQuery>),
}

/// All waiters of this process, by the name of their object. Several may wait for one.
pub(crate) struct Waiters {
    by_name: Mutex<HashMap<String, watch::Sender<News>>>,
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

    /// Starts waiting; to be called before the object is made. `None` when too many wait.
    pub(crate) fn register(self: &Arc<Self>, name: &str) -> Option<Waiter> {
        let mut by_name = self.lock();
        let news = if let Some(sender) = by_name.get(name) {
            sender.subscribe()
        } else {
            if by_name.len() >= self.limit {
                return None;
            }
            let (sender, news) = watch::channel(News::None);
            by_name.insert(name.to_owned(), sender);
            news
        };
        self.count.inc();
        Some(Waiter {
            waiters: Arc::clone(self),
            name: name.to_owned(),
            news,
        })
    }

    /// Tells of an object's state.
    pub(crate) fn seen(&self, object: &Arc<ArxivQuery>) {
        let by_name = self.lock();
        let Some(sender) = object.metadata.name.as_deref().and_then(|name| by_name.get(name)) else {
            return;
        };
        sender.send_replace(if object.phase().is_final() {
            News::Finished(Arc::clone(object))
        } else {
            News::Seen(Arc::clone(object))
        });
    }

    /// An object is gone, or so it seems.
    pub(crate) fn gone(&self, name: &str) {
        if let Some(sender) = self.lock().get(name) {
            look(sender);
        }
    }

    /// The watch was begun anew, so anything may have been missed.
    pub(crate) fn missed(&self) {
        self.lock().values().for_each(look);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<News>>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An end that is known already is not forgotten.
fn look(sender: &watch::Sender<News>) {
    sender.send_if_modified(|news| match news {
        News::Finished(_) => false,
        News::None | News::Look | News::Seen(_) => {
            *news = News::Look;
            true
        }
    });
}

/// One who waits, until dropped.
pub(crate) struct Waiter {
    waiters: Arc<Waiters>,
    name: String,
    news: watch::Receiver<News>,
}

impl Waiter {
    /// The next news.
    pub(crate) async fn news(&mut self) -> News {
        // The sender lives as long as this registration.
        if self.news.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.news.borrow_and_update().clone()
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
    async fn a_waiter_hears_of_its_own_object_only() {
        let waiters = Waiters::new(10, Gauge::default());
        let mut waiter = waiters.register("a").unwrap();
        waiters.seen(&object("b", Phase::Succeeded));
        waiters.gone("b");
        assert!(!waiter.news.has_changed().unwrap());
        waiters.seen(&object("a", Phase::Running));
        assert!(matches!(waiter.news().await, News::Seen(_)));
        waiters.seen(&object("a", Phase::Succeeded));
        assert!(matches!(waiter.news().await, News::Finished(object) if object.phase() == Phase::Succeeded));
    }

    #[tokio::test]
    async fn an_end_is_not_forgotten_for_a_deletion() {
        let waiters = Waiters::new(10, Gauge::default());
        let mut waiter = waiters.register("a").unwrap();
        waiters.gone("a");
        assert!(matches!(waiter.news().await, News::Look));
        waiters.seen(&object("a", Phase::Failed));
        waiters.gone("a");
        waiters.missed();
        assert!(matches!(waiter.news().await, News::Finished(_)));
    }

    #[tokio::test]
    async fn several_may_wait_for_one_object() {
        let waiters = Waiters::new(1, Gauge::default());
        let (first, second) = (waiters.register("a").unwrap(), waiters.register("a"));
        let mut second = second.unwrap();
        drop(first);
        waiters.seen(&object("a", Phase::Succeeded));
        assert!(matches!(second.news().await, News::Finished(_)));
        drop(second);
        assert!(waiters.lock().is_empty());
    }

    #[test]
    fn waiters_are_bounded_and_forgotten() {
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
