//! What this process knows about the unfinished queries: the page queue and each query's progress, behind one
//! lock that is never held over an await. Its size is bounded by the unfinished objects: an entry is removed
//! when its object leaves the watch (finished or deleted).

use std::{
    collections::{HashMap, HashSet, hash_map},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arxiv::PageRequest;
use crd::{ArxivQuery, CLIENT_LABEL};
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use queue::{Age, PriorityCeilings, QueueEntry};
use storage::PageVersion;
use tokio::sync::{Notify, watch};
use tracing::Span;
use uuid::Uuid;

use super::{
    page_queue::{PageQueue, QueuedPage},
    progress::Progress,
};
use crate::process::{correlation::span_of_page, metrics::QueueStats};

/// An object's name, which triggers its reconciliation.
pub(crate) type Object = ObjectRef<ArxivQuery>;

/// Shared by the reconciler, the watch and the fetcher.
#[derive(Debug)]
pub(crate) struct Tracker {
    state: Mutex<TrackerState>,
    /// A page was queued.
    queued: Notify,
    /// How often each query was notified since a reconciliation of it last began.
    notified: watch::Sender<HashMap<Uuid, usize>>,
    /// Triggers reconciliations. At most one message for each query that waits for a page, so it is bounded
    /// by those.
    triggers: UnboundedSender<Object>,
    ceilings: PriorityCeilings,
}

#[derive(Debug)]
struct TrackerState {
    queue: PageQueue<Arc<QueuedPage>, Object>,
    queries: HashMap<Uuid, Progress>,
    cooling_until: Option<Timestamp>,
    /// The process ends: nothing is queued any more.
    closed: bool,
}

impl Tracker {
    /// A tracker, and the objects whose reconciliation it triggers.
    pub(crate) fn new(ceilings: PriorityCeilings) -> (Arc<Self>, UnboundedReceiver<Object>) {
        let (triggers, triggered) = unbounded();
        let state = TrackerState {
            queue: PageQueue::new(),
            queries: HashMap::new(),
            cooling_until: None,
            closed: false,
        };
        let tracker = Self {
            state: Mutex::new(state),
            queued: Notify::new(),
            notified: watch::Sender::default(),
            triggers,
            ceilings,
        };
        (Arc::new(tracker), triggered)
    }

    fn state(&self) -> MutexGuard<'_, TrackerState> {
        // A panic ends the process, and no update here is partial.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A reconciliation is about to begin; returns the query's progress so far, and how many notifications it
    /// contains, for [`Self::begun`].
    pub(crate) fn begin(&self, uid: Uuid, object: &ArxivQuery, now: Timestamp) -> (Progress, usize) {
        let mut state = self.state();
        let notifications = self.notified.borrow().get(&uid).copied();
        let is_requested = state.queue.is_requested(uid);
        let progress = state.queries.entry(uid);
        let progress = progress.or_insert_with(|| Progress::of(object, now));
        progress.is_requested = is_requested;
        (progress.clone(), notifications.unwrap_or_default())
    }

    /// A reconciliation that responds to so many notifications is running.
    pub(crate) fn begun(&self, uid: Uuid, notifications: usize) {
        self.notified.send_if_modified(|notified| {
            if let hash_map::Entry::Occupied(mut count) = notified.entry(uid) {
                *count.get_mut() = count.get().saturating_sub(notifications);
                if *count.get() == 0 {
                    count.remove();
                }
            }
            notified.is_empty()
        });
    }

    /// Queues the query for its next page; `stored` others are stored already. Ignored if its object has left
    /// the watch meanwhile, if the process ends, and if the query was notified since its reconciliation began: then
    /// another one follows, which knows whether the request has failed, and when it may be repeated.
    pub(crate) fn enqueue(
        &self,
        uid: Uuid,
        object: &ArxivQuery,
        request: PageRequest,
        stored: usize,
        now: Timestamp,
    ) {
        let mut state = self.state();
        if state.closed || self.notified.borrow().contains_key(&uid) {
            return;
        }
        let Some(progress) = state.queries.get_mut(&uid) else {
            return;
        };
        let page = Arc::new(QueuedPage {
            request,
            day: progress.day,
        });
        progress.queued_since.get_or_insert(now);
        progress.next_slice = (stored > 0).then(|| Arc::clone(&page));
        let age = progress.latest_answer.map_or(progress.age, Age::answered);
        let entry = self.queue_entry(uid, object, age);
        state.queue.push(entry, Object::from_obj(object), page);
        drop(state);
        self.queued.notify_one();
    }

    /// The place of a query that waits for a reconciliation: since now, or, if the page that it has waited for was
    /// answered, since its creation.
    pub(crate) fn reconcile_entry(&self, uid: Uuid, object: &ArxivQuery, now: Timestamp) -> QueueEntry {
        let state = self.state();
        let notified = self.notified.borrow().contains_key(&uid);
        let progress = state.queries.get(&uid).filter(|_| notified);
        let age = progress.map_or(Age::answered(now), |progress| progress.age);
        self.queue_entry(uid, object, age)
    }

    /// What decides on an object's turns.
    fn queue_entry(&self, uid: Uuid, object: &ArxivQuery, age: Age) -> QueueEntry {
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        let labels = object.metadata.labels.as_ref();
        let client = labels.and_then(|labels| labels.get(CLIENT_LABEL));
        QueueEntry {
            query: uid,
            priority: self.ceilings.limit(namespace, object.spec.priority),
            namespace: namespace.into(),
            client: client.map_or("", String::as_str).into(),
            age,
        }
    }

    /// The query waits for no page any more.
    pub(crate) fn dequeue(&self, uid: Uuid) {
        self.state().queue.remove(uid);
    }

    /// The object has left the watch, or is suspended: of its progress only what is in its status stays.
    pub(crate) fn untrack(&self, uid: Uuid) {
        let mut state = self.state();
        state.queue.remove(uid);
        state.queries.remove(&uid);
        self.begun(uid, usize::MAX);
    }

    /// After a new listing: these are all unfinished objects.
    pub(crate) fn retain(&self, present: &HashSet<Uuid>) {
        let mut gone: Vec<_> = self.state().queries.keys().copied().collect();
        gone.retain(|uid| !present.contains(uid));
        for uid in gone {
            self.untrack(uid);
        }
    }

    /// The next page to request, if one is queued.
    pub(crate) fn next(&self) -> Option<Arc<QueuedPage>> {
        self.state().queue.pop()
    }

    /// Resolves when a page may have been queued.
    pub(crate) async fn queued(&self) {
        self.queued.notified().await;
    }

    /// The page could not be requested now.
    pub(crate) fn put_back(&self, page: &Arc<QueuedPage>) {
        self.state().queue.put_back(page);
    }

    /// The version that is good enough for each query that waits for the page. A query that accepts any version
    /// has found none.
    pub(crate) fn page_version(&self, page: &Arc<QueuedPage>) -> PageVersion {
        let state = self.state();
        let waiting = state.queue.waiting_for(page);
        let progress = waiting.filter_map(|(uid, _)| state.queries.get(&uid));
        let freshest = progress.filter_map(|progress| match progress.selector().version {
            PageVersion::After(time) => Some(time),
            PageVersion::AsOf(_) | PageVersion::Newest => None,
        });
        freshest.max().map_or(PageVersion::Newest, PageVersion::After)
    }

    /// The next slice of each unfinished query that has some of its slices already.
    pub(crate) fn next_slices(&self) -> Vec<Arc<QueuedPage>> {
        let state = self.state();
        let queries = state.queries.values();
        queries.filter_map(|query| query.next_slice.clone()).collect()
    }

    /// Whether a query still waits for the page.
    pub(crate) fn has_waiters(&self, page: &Arc<QueuedPage>) -> bool {
        self.state().queue.waiting_for(page).next().is_some()
    }

    /// The span of a request for the page, which names queries that wait for it.
    pub(crate) fn span_of(&self, page: &Arc<QueuedPage>) -> Span {
        let state = self.state();
        let waiting = state.queue.waiting_for(page).filter_map(|(uid, object)| {
            let namespace = object.namespace.as_deref().unwrap_or_default();
            let name = format!("{namespace}/{}", object.name);
            Some((name, &state.queries.get(&uid)?.origin))
        });
        span_of_page(waiting)
    }

    /// The request for the page is over: its queries leave the queue, their progress is updated, and their
    /// reconciliations are triggered.
    pub(crate) fn finish(&self, page: &Arc<QueuedPage>, update: impl Fn(&mut Progress)) {
        let mut state = self.state();
        for (uid, object) in state.queue.finish(page) {
            self.notify(&mut state, uid, object, &update);
        }
    }

    /// Updates the queries that wait for the page, and triggers their reconciliations.
    pub(crate) fn update_waiters(&self, page: &Arc<QueuedPage>, update: impl Fn(&mut Progress)) {
        let mut state = self.state();
        let waiting = state.queue.waiting_for(page);
        let waiting: Vec<_> = waiting.map(|(uid, object)| (uid, object.clone())).collect();
        for (uid, object) in waiting {
            self.notify(&mut state, uid, object, &update);
        }
    }

    fn notify(&self, state: &mut TrackerState, uid: Uuid, object: Object, update: impl Fn(&mut Progress)) {
        let Some(progress) = state.queries.get_mut(&uid) else {
            return;
        };
        update(progress);
        progress.queued_since = None;
        self.notified
            .send_modify(|notified| *notified.entry(uid).or_default() += 1);
        // It fails only after the end of the controller, when nothing is reconciled any more.
        let _ = self.triggers.unbounded_send(object);
    }

    /// Updates the progress of a query, if its object is in the watch.
    pub(crate) fn update<T>(&self, uid: Uuid, update: impl FnOnce(&mut Progress) -> T) -> Option<T> {
        self.state().queries.get_mut(&uid).map(update)
    }

    /// About how many requests are ahead of the query's, if it waits for a turn.
    pub(crate) fn requests_ahead(&self, uid: Uuid) -> Option<usize> {
        self.state().queue.requests_ahead(uid)
    }

    /// No request is sent to arXiv before `until`; returns whether that is new.
    pub(crate) fn set_cool_down(&self, until: Option<Timestamp>) -> bool {
        let mut state = self.state();
        let is_new = until.is_some() && state.cooling_until != until;
        state.cooling_until = until;
        is_new
    }

    /// When the cool-down ends, if there is one.
    pub(crate) fn cooling_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.state().cooling_until.filter(|until| *until > now)
    }

    /// The process ends: nothing is queued any more; what waits is left to the next process.
    pub(crate) fn close(&self) {
        self.state().closed = true;
    }

    /// Resolves when a reconciliation of every query that was notified is running.
    pub(crate) async fn drained(&self) {
        // It fails when the sender is gone, which is this tracker.
        let _ = self.notified.subscribe().wait_for(HashMap::is_empty).await;
    }

    /// The size of the queue, for metrics.
    pub(crate) fn queue_stats(&self) -> QueueStats {
        let state = self.state();
        let mut totals = QueueStats {
            requests: state.queue.len(),
            ..QueueStats::default()
        };
        for entry in state.queue.entries() {
            let class = match entry.priority {
                ..0 => 0,
                0 => 1,
                1.. => 2,
            };
            totals.queries[class] += 1;
            let query = state.queries.get(&entry.query);
            let since = query.and_then(|query| query.queued_since);
            totals.oldest = [totals.oldest, since].into_iter().flatten().min();
        }
        totals
    }
}

#[cfg(test)]
mod tests;
