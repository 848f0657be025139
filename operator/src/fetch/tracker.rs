//! What this process knows about the unfinished queries: the page queue and each query's progress, behind one
//! lock that is never held over an await. Its size is bounded by the unfinished objects: an entry is removed
//! when its object leaves the watch (finished or deleted).

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arxiv::PageRequest;
use crd::ArxivQuery;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use queue::{Age, QueueEntry};
use service::backoff::Backoff;
use storage::PageVersion;
use tokio::sync::Notify;
use uuid::Uuid;

use super::{
    page_queue::{PageQueue, QueuedPage},
    progress::{Progress, RequestFailure},
};
use crate::process::metrics::QueueStats;

/// An object's name, which triggers its reconciliation.
pub(crate) type Object = ObjectRef<ArxivQuery>;

/// Shared by the reconciler, the watch and the fetcher.
#[derive(Debug)]
pub(crate) struct Tracker {
    state: Mutex<TrackerState>,
    /// A page was queued.
    queued: Notify,
    /// Each query that was notified has begun its reconciliation.
    all_begun: Notify,
    /// Triggers reconciliations. At most one message for each query that waits for a page, so it is bounded
    /// by those.
    triggers: UnboundedSender<Object>,
    backoff: Backoff,
}

#[derive(Debug)]
struct TrackerState {
    queue: PageQueue<Arc<QueuedPage>, Object>,
    queries: HashMap<Uuid, Progress>,
    /// Queries whose reconciliation was triggered and has not begun yet.
    notified: HashSet<Uuid>,
    cooling_until: Option<Timestamp>,
    /// The process ends: nothing is queued any more.
    closed: bool,
}

impl Tracker {
    /// A tracker, and the objects whose reconciliation it triggers.
    pub(crate) fn new(backoff: Backoff) -> (Arc<Self>, UnboundedReceiver<Object>) {
        let (triggers, triggered) = unbounded();
        let state = TrackerState {
            queue: PageQueue::new(),
            queries: HashMap::new(),
            notified: HashSet::new(),
            cooling_until: None,
            closed: false,
        };
        let tracker = Self {
            state: Mutex::new(state),
            queued: Notify::new(),
            all_begun: Notify::new(),
            triggers,
            backoff,
        };
        (Arc::new(tracker), triggered)
    }

    fn state(&self) -> MutexGuard<'_, TrackerState> {
        // A panic ends the process, and no update here is partial.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A reconciliation begins; returns the query's progress so far.
    pub(crate) fn begin(&self, uid: Uuid, object: &ArxivQuery, now: Timestamp) -> Progress {
        let mut state = self.state();
        self.begun(&mut state, uid);
        let progress = state.queries.entry(uid);
        progress.or_insert_with(|| Progress::of(object, now)).clone()
    }

    fn begun(&self, state: &mut TrackerState, uid: Uuid) {
        if state.notified.remove(&uid) && state.notified.is_empty() {
            self.all_begun.notify_waiters();
        }
    }

    /// Queues the query for its next page; `stored` others are stored already. Ignored if its object has left
    /// the watch meanwhile, and if the process ends.
    pub(crate) fn enqueue(
        &self,
        uid: Uuid,
        object: &ArxivQuery,
        request: PageRequest,
        stored: usize,
        now: Timestamp,
    ) {
        let mut state = self.state();
        if state.closed {
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
        let entry = QueueEntry {
            query: uid,
            priority: object.spec.priority,
            namespace: object.metadata.namespace.as_deref().unwrap_or_default().into(),
            age: progress.latest_answer.map_or(progress.age, Age::answered),
        };
        state.queue.push(entry, Object::from_obj(object), page);
        drop(state);
        self.queued.notify_one();
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
        self.begun(&mut state, uid);
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

    /// The version that is good enough for each query that waits for the page. One that accepts any has found
    /// none.
    pub(crate) fn page_version(&self, page: &Arc<QueuedPage>) -> PageVersion {
        let state = self.state();
        let waiting = state.queue.waiting_for(page);
        let progress = waiting.filter_map(|(uid, _)| state.queries.get(&uid));
        let freshest = progress.filter_map(|progress| match progress.page_version() {
            PageVersion::After(time) => Some(time),
            PageVersion::AsOf(_) | PageVersion::Newest => None,
        });
        freshest.max().map_or(PageVersion::Newest, PageVersion::After)
    }

    /// The next slice of each unfinished query that has some of its slices already.
    pub(crate) fn next_slices(&self) -> Vec<Arc<QueuedPage>> {
        let state = self.state();
        let next_slices = state.queries.values();
        next_slices
            .filter_map(|progress| progress.next_slice.clone())
            .collect()
    }

    /// Whether a query still waits for the page.
    pub(crate) fn has_waiters(&self, page: &Arc<QueuedPage>) -> bool {
        self.state().queue.waiting_for(page).next().is_some()
    }

    /// The request for the page, sent at `began`, takes long: its queries are notified, as their status says
    /// so.
    pub(crate) fn mark_slow(&self, page: &Arc<QueuedPage>, began: Timestamp) {
        let mut state = self.state();
        let waiting = state.queue.waiting_for(page);
        let waiting: Vec<_> = waiting.map(|(uid, object)| (uid, object.clone())).collect();
        for (uid, object) in waiting {
            self.notify(&mut state, uid, object, |progress| {
                progress.started.get_or_insert(began);
                progress.is_slow = true;
            });
        }
    }

    /// The page is stored: its queries are notified. `fetched_at`: see [`Progress::answered`].
    pub(crate) fn answered(
        &self,
        page: &Arc<QueuedPage>,
        began: Timestamp,
        now: Timestamp,
        fetched_at: Option<Timestamp>,
    ) {
        let mut state = self.state();
        for (uid, object) in state.queue.finish(page) {
            self.notify(&mut state, uid, object, |progress| {
                progress.answered(began, now, fetched_at);
            });
        }
    }

    /// The request for the page failed: its queries are notified, and each continues by its own limits.
    pub(crate) fn failed(
        &self,
        page: &Arc<QueuedPage>,
        failure: &RequestFailure,
        began: Timestamp,
        now: Timestamp,
    ) {
        let mut state = self.state();
        for (uid, object) in state.queue.finish(page) {
            self.notify(&mut state, uid, object, |progress| {
                progress.failed(failure.clone(), began, now, &self.backoff);
            });
        }
    }

    /// Updates the query's progress and triggers its reconciliation.
    fn notify(
        &self,
        state: &mut TrackerState,
        uid: Uuid,
        object: Object,
        update: impl FnOnce(&mut Progress),
    ) {
        let Some(progress) = state.queries.get_mut(&uid) else {
            return;
        };
        update(progress);
        progress.queued_since = None;
        state.notified.insert(uid);
        // It fails only after the end of the controller, when nothing is reconciled any more.
        let _ = self.triggers.unbounded_send(object);
    }

    /// About how many requests are ahead of the query's, if it waits for a turn.
    pub(crate) fn requests_ahead(&self, uid: Uuid) -> Option<usize> {
        self.state().queue.requests_ahead(uid)
    }

    /// A status with the number of stored slices was written.
    pub(crate) fn status_written(&self, uid: Uuid, slices: usize, now: Timestamp) {
        if let Some(progress) = self.state().queries.get_mut(&uid) {
            (progress.slices_reported, progress.reported_at) = (slices, now);
        }
    }

    /// A reconciliation failed; returns how many did in a row.
    pub(crate) fn count_error(&self, uid: Uuid) -> u32 {
        let mut state = self.state();
        let Some(progress) = state.queries.get_mut(&uid) else {
            return 1;
        };
        progress.errors_in_a_row = progress.errors_in_a_row.saturating_add(1);
        progress.errors_in_a_row
    }

    /// A reconciliation succeeded.
    pub(crate) fn reset_errors(&self, uid: Uuid) {
        if let Some(progress) = self.state().queries.get_mut(&uid) {
            progress.errors_in_a_row = 0;
        }
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

    /// Resolves when every query that was notified has begun its reconciliation.
    pub(crate) async fn drained(&self) {
        loop {
            // Created before the check, so that no notification is missed.
            let all_begun = self.all_begun.notified();
            if self.state().notified.is_empty() {
                return;
            }
            all_begun.await;
        }
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
            let progress = state.queries.get(&entry.query);
            let since = progress.and_then(|progress| progress.queued_since);
            totals.oldest = [totals.oldest, since].into_iter().flatten().min();
        }
        totals
    }
}

#[cfg(test)]
mod tests;
