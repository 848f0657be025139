//! The queue of pages to fetch: which queries wait for which page, and which page is next. Pure data, no
//! clock, no I/O.
//!
//! The order is that of [`queue::FairQueue`]: priority, then namespaces and their clients in turn, then age. A page that several
//! queries wait for is one request: it leaves the queue at the turn of the first of them. A query that needs
//! another slice is queued behind those that waited meanwhile, so that others get their turns between the
//! slices of a large one.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet, hash_map},
    hash::Hash,
};

use arxiv::PageRequest;
use jiff::civil::Date;
use queue::{FairQueue, QueueEntry};
use uuid::Uuid;

/// A page to fetch: the answer of one arXiv day to a request.
#[derive(Debug, Eq, Hash, PartialEq)]
pub(crate) struct QueuedPage {
    pub(crate) request: PageRequest,
    pub(crate) day: Date,
}

/// The queue. `P` is a page, `O` identifies the object of a query.
#[derive(Debug)]
pub(crate) struct PageQueue<P, O> {
    pages: HashMap<P, PageWaiters>,
    queries: HashMap<Uuid, WaitingQuery<P, O>>,
    order: FairQueue,
}

#[derive(Debug, Default)]
struct PageWaiters {
    queries: HashSet<Uuid>,
    /// The query whose turn it is, while the page is requested. Then none of its queries is in the order; a
    /// query that comes meanwhile joins.
    in_flight: Option<QueueEntry>,
}

#[derive(Debug)]
struct WaitingQuery<P, O> {
    page: P,
    entry: QueueEntry,
    object: O,
}

impl<P: Clone + Eq + Hash, O> PageQueue<P, O> {
    pub(crate) fn new() -> Self {
        Self {
            pages: HashMap::new(),
            queries: HashMap::new(),
            order: FairQueue::default(),
        }
    }

    /// Queues the query for this page. If it waits for the page already, it keeps its age and takes the new
    /// priority. A query waits for one page at a time: a new one replaces the old one.
    pub(crate) fn push(&mut self, mut entry: QueueEntry, object: O, page: P) {
        let query = entry.query;
        if let Some(queued) = self.queries.get(&query).filter(|queued| queued.page == page) {
            if queued.entry.priority == entry.priority {
                return;
            }
            entry.age = queued.entry.age;
        }
        self.remove(query);
        let waiters = self.pages.entry(page.clone()).or_default();
        waiters.queries.insert(query);
        if waiters.in_flight.is_none() {
            self.order.insert(&entry);
        }
        let queued = WaitingQuery { page, entry, object };
        self.queries.insert(query, queued);
    }

    /// Removes the query. A page without other queries is not requested any more.
    pub(crate) fn remove(&mut self, query: Uuid) {
        let Some(queued) = self.queries.remove(&query) else {
            return;
        };
        self.order.remove(&queued.entry);
        if let hash_map::Entry::Occupied(mut waiters) = self.pages.entry(queued.page) {
            waiters.get_mut().queries.remove(&query);
            if waiters.get().queries.is_empty() && waiters.get().in_flight.is_none() {
                waiters.remove();
            }
        }
    }

    /// The next page. It counts as in flight until it is finished or put back.
    pub(crate) fn pop(&mut self) -> Option<P> {
        let first = self.queries.get(&self.order.first()?)?;
        let (page, turn) = (first.page.clone(), first.entry.clone());
        let waiters = self.pages.get_mut(&page)?;
        waiters.in_flight = Some(turn);
        for query in &waiters.queries {
            if let Some(queued) = self.queries.get(query) {
                self.order.remove(&queued.entry);
            }
        }
        Some(page)
    }

    /// The page could not be requested yet: its queries keep their positions, and its namespace keeps its
    /// turn. Changes nothing if the page is finished.
    pub(crate) fn put_back(&mut self, page: &P) {
        let Some(waiters) = self.pages.get_mut(page) else {
            return;
        };
        waiters.in_flight = None;
        if waiters.queries.is_empty() {
            self.pages.remove(page);
            return;
        }
        for query in &waiters.queries {
            if let Some(queued) = self.queries.get(query) {
                self.order.insert(&queued.entry);
            }
        }
    }

    /// The request for the page is over: its queries leave the queue and are returned.
    pub(crate) fn finish(&mut self, page: &P) -> Vec<(Uuid, O)> {
        let Some(waiters) = self.pages.remove(page) else {
            return Vec::new();
        };
        if let Some(turn) = &waiters.in_flight {
            self.order.mark_served(turn);
        }
        let finished = waiters.queries.into_iter().filter_map(|query| {
            let queued = self.queries.remove(&query)?;
            self.order.remove(&queued.entry);
            Some((query, queued.object))
        });
        finished.collect()
    }

    /// The queries that wait for the page.
    pub(crate) fn waiting_for(&self, page: &P) -> impl Iterator<Item = (Uuid, &O)> {
        let waiters = self.pages.get(page).into_iter();
        let queries = waiters.flat_map(|waiters| &waiters.queries);
        queries.filter_map(|query| self.queries.get(query).map(|queued| (*query, &queued.object)))
    }

    /// Whether the page that the query waits for is being requested.
    pub(crate) fn is_requested(&self, query: Uuid) -> bool {
        let page = self
            .queries
            .get(&query)
            .and_then(|queued| self.pages.get(&queued.page));
        page.is_some_and(|waiters| waiters.in_flight.is_some())
    }

    /// All queries, with what decides on their order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &QueueEntry> {
        self.queries.values().map(|queued| &queued.entry)
    }

    /// About how many requests are ahead of this query's; that namespaces and clients take turns is not considered. None
    /// if it does not wait for a turn.
    pub(crate) fn requests_ahead(&self, query: Uuid) -> Option<usize> {
        let queued = self.queries.get(&query)?;
        if self.is_requested(query) {
            return None;
        }
        let rank = |entry: &QueueEntry| (Reverse(entry.priority), entry.age, entry.query);
        let is_ahead = |other: &Uuid| {
            let other = self.queries.get(other);
            other.is_some_and(|other| rank(&other.entry) < rank(&queued.entry))
        };
        let ahead = self.pages.iter().filter(|(page, waiters)| {
            **page != queued.page && (waiters.in_flight.is_some() || waiters.queries.iter().any(is_ahead))
        });
        Some(ahead.count())
    }

    /// How many requests are queued, the one in flight included.
    pub(crate) fn len(&self) -> usize {
        self.pages.len()
    }
}

#[cfg(test)]
mod tests {
    use ::queue::Age;
    use jiff::Timestamp;

    use super::*;

    type Queue = PageQueue<&'static str, &'static str>;
    /// Query, namespace, page; later ones are younger.
    type Queued = (u128, &'static str, &'static str);

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    fn entry(query: u128, priority: i32, namespace: &str, since: i64) -> QueueEntry {
        QueueEntry {
            query: id(query),
            priority,
            namespace: namespace.into(),
            client: "".into(),
            age: Age::answered(Timestamp::from_second(since).unwrap()),
        }
    }

    fn queue(queued: &[Queued]) -> Queue {
        let mut queue = Queue::new();
        for (since, (query, namespace, page)) in (0..).zip(queued) {
            queue.push(entry(*query, 0, namespace, since), namespace, *page);
        }
        queue
    }

    /// Pops and finishes until nothing is left.
    fn drain(queue: &mut Queue) -> Vec<&'static str> {
        let mut order = Vec::new();
        while let Some(page) = queue.pop() {
            queue.finish(&page);
            order.push(page);
        }
        order
    }

    #[test]
    fn page_has_the_turn_of_its_first_query() {
        let cases: &[(&[Queued], &[&str])] = &[
            (&[], &[]),
            (
                &[(1, "a", "p1"), (2, "a", "p2"), (3, "a", "p3"), (4, "b", "p4")],
                &["p1", "p4", "p2", "p3"],
            ),
            (
                &[(1, "a", "p1"), (2, "a", "p2"), (3, "b", "p2"), (4, "c", "p2")],
                &["p1", "p2"],
            ),
            // Another page replaces the first one.
            (&[(1, "a", "p1"), (2, "a", "p2"), (1, "a", "p3")], &["p2", "p3"]),
            // The same page again keeps the position.
            (&[(1, "a", "p1"), (2, "a", "p2"), (1, "a", "p1")], &["p1", "p2"]),
        ];
        for (queued, order) in cases {
            let mut queue = queue(queued);
            assert_eq!(drain(&mut queue), *order, "{queued:?}");
            assert_eq!(
                (queue.len(), queue.queries.len(), queue.order.first()),
                (0, 0, None)
            );
        }
    }

    #[test]
    fn push_moves_query_when_priority_changes() {
        let mut queue = queue(&[(1, "a", "p1"), (2, "a", "p2"), (3, "a", "p3")]);
        queue.push(entry(3, 5, "a", 99), "a", "p3");
        queue.push(entry(1, -5, "a", 99), "a", "p1");
        assert_eq!(queue.pop(), Some("p3"));
        // While a page is in flight, a new priority of its query adds nothing to the order.
        queue.push(entry(3, 1, "a", 99), "a", "p3");
        assert_eq!(queue.pop(), Some("p2"));
        queue.put_back(&"p3");
        assert_eq!(drain(&mut queue), ["p3", "p1"]);
    }

    #[test]
    fn finish_returns_queries_that_joined_while_in_flight() {
        let mut queue = queue(&[(1, "a", "p1"), (2, "b", "p1")]);
        let page = queue.pop().unwrap();
        assert_eq!(queue.pop(), None, "the page is in flight");
        queue.push(entry(3, 9, "a", 9), "a", "p1");
        assert_eq!(queue.pop(), None, "joined, not requested again");
        let mut finished: Vec<_> = queue.finish(&page).into_iter().map(|(query, _)| query).collect();
        finished.sort_unstable();
        assert_eq!(finished, [id(1), id(2), id(3)]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn requests_ahead_counts_pages_with_earlier_turns() {
        let mut queue = queue(&[(1, "a", "p1"), (2, "a", "p2"), (3, "b", "p2"), (4, "b", "p4")]);
        queue.push(entry(5, 1, "c", 9), "c", "p5");
        queue.push(entry(6, -1, "c", 0), "c", "p6");
        let ahead = |queue: &Queue| (1..=7).map(|n| queue.requests_ahead(id(n))).collect::<Vec<_>>();
        let expected = [Some(1), Some(2), Some(2), Some(3), Some(0), Some(4), None];
        assert_eq!(ahead(&queue), expected);
        // In flight, it waits for no turn, but is still ahead of the others.
        queue.pop();
        let expected = [Some(1), Some(2), Some(2), Some(3), None, Some(4), None];
        assert_eq!(ahead(&queue), expected);
    }

    #[test]
    fn put_back_page_keeps_its_position() {
        let mut queue = queue(&[(1, "a", "p1"), (2, "a", "p2"), (3, "b", "p3")]);
        let page = queue.pop().unwrap();
        queue.put_back(&page);
        assert_eq!(drain(&mut queue), ["p1", "p3", "p2"]);
    }

    #[test]
    fn removed_query_is_not_returned_and_page_without_queries_is_not_popped() {
        let mut queue = queue(&[(1, "a", "p1"), (2, "a", "p2"), (3, "b", "p2"), (4, "b", "p3")]);
        queue.remove(id(1));
        queue.remove(id(2));
        queue.remove(id(9));
        assert_eq!(queue.len(), 2);
        let page = queue.pop().unwrap();
        assert_eq!(page, "p2");
        // The last query leaves while the page is in flight: neither put_back nor finish brings it back.
        queue.remove(id(3));
        queue.put_back(&page);
        assert_eq!(queue.finish(&page), []);
        assert_eq!(drain(&mut queue), ["p3"]);
    }

    #[test]
    fn next_slice_is_queued_behind_waiting_queries() {
        let mut queue = queue(&[(1, "a", "big, slice 1"), (2, "a", "p2")]);
        let page = queue.pop().unwrap();
        queue.finish(&page);
        queue.push(entry(1, 0, "a", 9), "a", "big, slice 2");
        assert_eq!(drain(&mut queue), ["p2", "big, slice 2"]);
    }
}
