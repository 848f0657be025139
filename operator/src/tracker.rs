//! What this process holds of the unfinished queries: the upstream queue and each query's progress, behind one lock
//! that is never held over an await. Bounded by the unfinished objects: a query's part goes when its object leaves
//! the watch (finished or deleted).

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arxiv::PageRequest;
use crd::ArxivQuery;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use storage::PageKey;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{
    backoff::Backoff,
    progress::{Failure, Progress},
    queue::UpstreamQueue,
};

/// An object's name, by which its reconciliation is asked for.
pub(crate) type Object = ObjectRef<ArxivQuery>;

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
    queue: UpstreamQueue<PageKey, PageRequest, Object>,
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
        state
            .known
            .entry(uid)
            .or_insert_with(|| Progress::of(object, now))
            .clone()
    }

    /// The query needs this page next. Ignored when its object has left meanwhile, and when the process ends.
    pub(crate) fn want(
        &self,
        uid: Uuid,
        object: Object,
        page: PageKey,
        request: PageRequest,
        now: Timestamp,
    ) {
        let mut state = self.state();
        if state.closed {
            return;
        }
        let Some(known) = state.known.get_mut(&uid) else {
            return;
        };
        known.queued_since.get_or_insert(now);
        let namespace = object.namespace.clone().unwrap_or_default();
        state.queue.push(uid, object, &namespace, page, request);
        drop(state);
        self.wanted.notify_one();
    }

    /// The query needs no page any more.
    pub(crate) fn leave(&self, uid: Uuid) {
        self.state().queue.leave(uid);
    }

    /// The object has left the watch.
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
    pub(crate) fn next(&self) -> Option<(PageKey, PageRequest)> {
        self.state().queue.pop()
    }

    /// Resolves when a page may be wanted.
    pub(crate) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// The page could not be asked for now.
    pub(crate) fn put_back(&self, page: &PageKey) {
        self.state().queue.put_back(page);
    }

    /// Somebody still waits for the page.
    pub(crate) fn is_wanted(&self, page: &PageKey) -> bool {
        self.state().queue.waiting_for(page).next().is_some()
    }

    /// The request for the page, sent at `began`, is still under way: who waits for it is woken to tell of it.
    pub(crate) fn lingers(&self, page: &PageKey, began: Timestamp) {
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
    pub(crate) fn answered(&self, page: &PageKey, began: Timestamp) {
        let mut state = self.state();
        for (uid, object) in state.queue.finish(page) {
            self.tell(&mut state, uid, object, |known| known.answered(began));
        }
    }

    /// The request for the page failed: who waited for it is told, and goes on by its own limits.
    pub(crate) fn failed(&self, page: &PageKey, failure: &Failure, began: Timestamp, now: Timestamp) {
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

    /// Pages wanted, and since when the query waits that waits longest.
    pub(crate) fn waiting(&self) -> (usize, Option<Timestamp>) {
        let state = self.state();
        let oldest = state
            .queue
            .oldest()
            .filter_map(|uid| state.known.get(&uid)?.queued_since);
        (state.queue.len(), oldest.min())
    }
}

#[cfg(test)]
mod tests {
    use arxiv::Search;
    use crd::ArxivQuerySpec;
    use futures::StreamExt;
    use jiff::civil::date;

    use super::*;

    const BACKOFF: Backoff = Backoff {
        base: Duration::from_secs(1),
        cap: Duration::from_secs(1),
    };

    fn page() -> (PageKey, PageRequest) {
        let search = Search {
            title: Some("x".into()),
            ..Search::default()
        }
        .validate()
        .unwrap();
        let key = PageKey {
            search: search.key().to_owned(),
            day: date(2024, 5, 6),
            start: 0,
            count: 8,
        };
        (
            key,
            PageRequest {
                search,
                start: 0,
                count: 8,
            },
        )
    }

    /// Begins a reconciliation of a query and lets it want the page.
    fn wants(tracker: &Tracker, query: u128) -> Uuid {
        let uid = Uuid::from_u128(query);
        let name = format!("q{query}");
        tracker.begin(
            uid,
            &ArxivQuery::new(&name, ArxivQuerySpec::default()),
            Timestamp::UNIX_EPOCH,
        );
        let (key, request) = page();
        tracker.want(
            uid,
            Object::new(&name).within("ns"),
            key,
            request,
            Timestamp::UNIX_EPOCH,
        );
        uid
    }

    #[tokio::test]
    async fn who_waits_is_woken_once_and_who_has_left_is_not() {
        let (tracker, mut woken) = Tracker::new(BACKOFF);
        let (stays, leaves) = (wants(&tracker, 1), wants(&tracker, 2));
        let (key, _) = tracker.next().unwrap();
        tracker.forget(leaves);
        tracker.answered(&key, Timestamp::UNIX_EPOCH);
        assert_eq!(woken.next().await.unwrap().name, "q1");
        assert!(woken.try_recv().is_err(), "nobody else");
        assert!(!tracker.state().woken.is_empty(), "it has not begun yet");
        tracker.begin(
            stays,
            &ArxivQuery::new("q1", ArxivQuerySpec::default()),
            Timestamp::UNIX_EPOCH,
        );
        tracker.all_told().await;
    }

    #[test]
    fn nothing_is_held_of_objects_that_are_gone_or_come_too_late() {
        let (tracker, _woken) = Tracker::new(BACKOFF);
        let (stays, _gone) = (wants(&tracker, 1), wants(&tracker, 2));
        tracker.retain(&HashSet::from([stays]));
        assert_eq!(tracker.state().known.len(), 1);
        let (key, request) = page();
        let stranger = Uuid::from_u128(3);
        tracker.want(
            stranger,
            Object::new("q3"),
            key.clone(),
            request,
            Timestamp::UNIX_EPOCH,
        );
        tracker.forget(stays);
        assert_eq!((tracker.waiting(), tracker.state().known.len()), ((0, None), 0));
        tracker.close();
        wants(&tracker, 4);
        assert_eq!(tracker.waiting(), (0, None), "the process ends");
    }
}
