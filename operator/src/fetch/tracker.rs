//! What this process holds of the unfinished queries: the upstream queue and each query's progress, behind one lock
//! that is never held over an await. Bounded by the unfinished objects: a query's part goes when its object leaves
//! the watch (finished or deleted).

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ::queue::{Since, Standing};
use arxiv::PageRequest;
use crd::ArxivQuery;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use jiff::{Timestamp, civil::Date};
use kube::runtime::reflector::ObjectRef;
use storage::PageVersion;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{
    fetch::{
        page_queue::UpstreamQueue,
        progress::{Failure, Progress},
    },
    process::backoff::Backoff,
};

/// An object's name, by which its reconciliation is asked for.
pub(crate) type Object = ObjectRef<ArxivQuery>;

/// A page that is wanted; who wants the same one shares it.
pub(crate) type Page = Arc<WantedPage>;

/// A page of a day.
#[derive(Debug, Eq, Hash, PartialEq)]
pub(crate) struct WantedPage {
    pub(crate) request: PageRequest,
    pub(crate) day: Date,
}

/// What the metrics tell of the queue.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Backlog {
    /// Requests that are wanted.
    pub(crate) requests: usize,
    /// Queries that wait: of a priority below 0, of 0, and above.
    pub(crate) queries: [usize; 3],
    /// Since when the query waits that waits longest.
    pub(crate) oldest: Option<Timestamp>,
}

/// Shared by the reconciler, the watch and the fetcher.
#[derive(Debug)]
pub(crate) struct Tracker {
    state: Mutex<State>,
    /// Told when a page is wanted.
    wanted: Notify,
    /// At most one message per query that waits for a page, so it is bounded by those.
    wake: UnboundedSender<Object>,
    backoff: Backoff,
}

#[derive(Debug)]
struct State {
    queue: UpstreamQueue<Page, Object>,
    known: HashMap<Uuid, Progress>,
    /// Woken queries whose reconciliation has not begun yet.
    woken: HashSet<Uuid>,
    cooling_until: Option<Timestamp>,
    /// The process ends: nothing new is wanted.
    closed: bool,
}

impl Tracker {
    /// A tracker, and the stream of objects that it wakes.
    pub(crate) fn new(backoff: Backoff) -> (Arc<Self>, UnboundedReceiver<Object>) {
        let (wake, woken) = unbounded();
        let state = State {
            queue: UpstreamQueue::new(),
            known: HashMap::new(),
            woken: HashSet::new(),
            cooling_until: None,
            closed: false,
        };
        (
            Arc::new(Self {
                state: Mutex::new(state),
                wanted: Notify::new(),
                wake,
                backoff,
            }),
            woken,
        )
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic ends the process, and no update here leaves the state half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A reconciliation begins: what is known of the query so far.
    pub(crate) fn begin(&self, uid: Uuid, object: &ArxivQuery, now: Timestamp) -> Progress {
        let mut state = self.state();
        state.woken.remove(&uid);
        let known = state.known.entry(uid);
        known.or_insert_with(|| Progress::of(object, now)).clone()
    }

    /// The query needs this page next, after `there` others. Ignored when its object has left meanwhile, and when the
    /// process ends.
    pub(crate) fn want(
        &self,
        uid: Uuid,
        object: &ArxivQuery,
        page: WantedPage,
        there: usize,
        now: Timestamp,
    ) {
        let page = Arc::new(page);
        let mut state = self.state();
        if state.closed {
            return;
        }
        let Some(known) = state.known.get_mut(&uid) else {
            return;
        };
        known.queued_since.get_or_insert(now);
        known.further = (there > 0).then(|| Arc::clone(&page));
        let standing = Standing {
            query: uid,
            priority: object.spec.priority,
            namespace: object.metadata.namespace.as_deref().unwrap_or_default().into(),
            since: known.latest_answer.map_or(known.since, Since::answered),
        };
        state.queue.push(standing, Object::from_obj(object), page);
        drop(state);
        self.wanted.notify_one();
    }

    /// The query needs no page any more.
    pub(crate) fn leave(&self, uid: Uuid) {
        self.state().queue.leave(uid);
    }

    /// The object has left the watch, or is suspended: what is known of it is what its status says.
    pub(crate) fn forget(&self, uid: Uuid) {
        let mut state = self.state();
        state.queue.leave(uid);
        state.known.remove(&uid);
        state.woken.remove(&uid);
    }

    /// After a new listing: these are all objects that there are.
    pub(crate) fn retain(&self, present: &HashSet<Uuid>) {
        let gone: Vec<_> = self
            .state()
            .known
            .keys()
            .filter(|uid| !present.contains(*uid))
            .copied()
            .collect();
        for uid in gone {
            self.forget(uid);
        }
    }

    /// The next page to ask for, if one is wanted.
    pub(crate) fn next(&self) -> Option<Page> {
        self.state().queue.pop()
    }

    /// Resolves when a page may be wanted.
    pub(crate) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// The page could not be asked for now.
    pub(crate) fn put_back(&self, page: &Page) {
        self.state().queue.put_back(page);
    }

    /// The version that will do for everybody who waits for the page. Who takes any has found none.
    pub(crate) fn page_version(&self, page: &Page) -> PageVersion {
        let state = self.state();
        let waiting = state.queue.waiting_for(page);
        let known = waiting.filter_map(|(uid, _)| state.known.get(&uid));
        let freshest = known.filter_map(|known| match known.page_version() {
            PageVersion::After(time) => Some(time),
            PageVersion::AsOf(_) | PageVersion::Newest => None,
        });
        freshest.max().map_or(PageVersion::Newest, PageVersion::After)
    }

    /// A page of each query that has some of its slices already, and is not finished.
    pub(crate) fn under_way(&self) -> Vec<Page> {
        let state = self.state();
        state
            .known
            .values()
            .filter_map(|known| known.further.clone())
            .collect()
    }

    /// Somebody still waits for the page.
    pub(crate) fn is_wanted(&self, page: &Page) -> bool {
        self.state().queue.waiting_for(page).next().is_some()
    }

    /// The request for the page, sent at `began`, is still under way: who waits for it is woken to tell of it.
    pub(crate) fn lingers(&self, page: &Page, began: Timestamp) {
        let mut state = self.state();
        let waiting: Vec<_> = state
            .queue
            .waiting_for(page)
            .map(|(uid, object)| (uid, object.clone()))
            .collect();
        for (uid, object) in waiting {
            self.tell(&mut state, uid, object, |known| {
                known.started.get_or_insert(began);
                known.lingers = true;
            });
        }
    }

    /// The page is stored: who waited for it is woken.
    pub(crate) fn answered(
        &self,
        page: &Page,
        began: Timestamp,
        now: Timestamp,
        fetched_at: Option<Timestamp>,
    ) {
        let mut state = self.state();
        for (uid, object) in state.queue.finish(page) {
            self.tell(&mut state, uid, object, |known| {
                known.answered(began, now, fetched_at);
            });
        }
    }

    /// The request for the page failed: who waited for it is told, and goes on by its own limits.
    pub(crate) fn failed(&self, page: &Page, failure: &Failure, began: Timestamp, now: Timestamp) {
        let mut state = self.state();
        for (uid, object) in state.queue.finish(page) {
            self.tell(&mut state, uid, object, |known| {
                known.failed(failure.clone(), began, now, &self.backoff);
            });
        }
    }

    fn tell(&self, state: &mut State, uid: Uuid, object: Object, update: impl FnOnce(&mut Progress)) {
        let Some(known) = state.known.get_mut(&uid) else {
            return;
        };
        update(known);
        known.queued_since = None;
        state.woken.insert(uid);
        // It fails only when the controller has ended, and then nobody is to be woken.
        let _ = self.wake.unbounded_send(object);
    }

    /// About how many requests are before the query's, if it waits for its turn.
    pub(crate) fn before(&self, uid: Uuid) -> Option<usize> {
        self.state().queue.before(uid)
    }

    /// The users of the query were told how far it has come.
    pub(crate) fn told(&self, uid: Uuid, slices: usize, now: Timestamp) {
        if let Some(known) = self.state().known.get_mut(&uid) {
            (known.slices_told, known.told_at) = (slices, now);
        }
    }

    /// A reconciliation ended in an error; how many did in a row.
    pub(crate) fn errored(&self, uid: Uuid) -> u32 {
        let mut state = self.state();
        let Some(known) = state.known.get_mut(&uid) else {
            return 1;
        };
        known.errors_in_a_row = known.errors_in_a_row.saturating_add(1);
        known.errors_in_a_row
    }

    /// A reconciliation ended well.
    pub(crate) fn went_well(&self, uid: Uuid) {
        if let Some(known) = self.state().known.get_mut(&uid) {
            known.errors_in_a_row = 0;
        }
    }

    /// arXiv is asked nothing before `until`; whether that is news.
    pub(crate) fn cool_down(&self, until: Option<Timestamp>) -> bool {
        let mut state = self.state();
        let news = until.is_some() && state.cooling_until != until;
        state.cooling_until = until;
        news
    }

    /// When the cool-down ends, if there is one.
    pub(crate) fn cooling_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.state().cooling_until.filter(|until| *until > now)
    }

    /// The process ends: nothing more is asked for, what waits is left to the next one.
    pub(crate) fn close(&self) {
        self.state().closed = true;
    }

    /// Resolves when every query that was woken has begun its reconciliation.
    pub(crate) async fn all_told(&self) {
        while !self.state().woken.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How much is wanted.
    pub(crate) fn backlog(&self) -> Backlog {
        let state = self.state();
        let mut backlog = Backlog {
            requests: state.queue.len(),
            ..Backlog::default()
        };
        for standing in state.queue.waiting() {
            let class = match standing.priority {
                ..0 => 0,
                0 => 1,
                1.. => 2,
            };
            backlog.queries[class] += 1;
            let since = state
                .known
                .get(&standing.query)
                .and_then(|known| known.queued_since);
            backlog.oldest = [backlog.oldest, since].into_iter().flatten().min();
        }
        backlog
    }
}

#[cfg(test)]
mod tests;
