//! The upstream queue: which pages are wanted, by which queries, and whose turn it is. Pure data, no clock, no I/O.
//!
//! Namespaces take turns, and within a namespace the oldest wish is first. A page that many queries want is one
//! request: it leaves the queue when the first of them has its turn. A query that wants a further slice stands at the
//! end again, so that others get their turns between the slices of a big one.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque, hash_map};
use std::hash::Hash;

use uuid::Uuid;

/// The queue. `K` is a page's identity, `R` the request that fetches it, `O` what finds a waiting object again.
#[derive(Debug)]
pub(crate) struct UpstreamQueue<K, R, O> {
    pages: HashMap<K, Wanted<R>>,
    queries: HashMap<Uuid, Waiting<K, O>>,
    /// Of each namespace, its waiting queries by age.
    lanes: HashMap<String, BTreeMap<u64, Uuid>>,
    /// The namespaces that have queries waiting; the first one is next.
    turns: VecDeque<String>,
    /// The age of the next wish: a counter, as clocks may jump.
    age: u64,
}

#[derive(Debug)]
struct Wanted<R> {
    request: R,
    by: HashSet<Uuid>,
    /// Taken out of the lanes, and asked for right now. Who wants it meanwhile joins.
    in_flight: bool,
}

#[derive(Debug)]
struct Waiting<K, O> {
    page: K,
    namespace: String,
    age: u64,
    object: O,
}

impl<K: Clone + Eq + Hash, R: Clone, O> UpstreamQueue<K, R, O> {
    pub(crate) fn new() -> Self {
        Self {
            pages: HashMap::new(),
            queries: HashMap::new(),
            lanes: HashMap::new(),
            turns: VecDeque::new(),
            age: 0,
        }
    }

    /// The query wants this page; it keeps its place if it waits for it already. A query waits for one page at a
    /// time: another one replaces it.
    pub(crate) fn push(&mut self, query: Uuid, object: O, namespace: &str, page: K, request: R) {
        if self
            .queries
            .get(&query)
            .is_some_and(|waiting| waiting.page == page)
        {
            return;
        }
        self.leave(query);
        let wanted = match self.pages.entry(page.clone()) {
            hash_map::Entry::Occupied(entry) => entry.into_mut(),
            hash_map::Entry::Vacant(entry) => entry.insert(Wanted {
                request,
                by: HashSet::new(),
                in_flight: false,
            }),
        };
        wanted.by.insert(query);
        let in_flight = wanted.in_flight;
        let age = self.age;
        self.age += 1;
        self.queries.insert(
            query,
            Waiting {
                page,
                namespace: namespace.to_owned(),
                age,
                object,
            },
        );
        if !in_flight {
            self.enter_lane(query, namespace.to_owned(), age);
        }
    }

    /// The query wants nothing any more. A page that nobody else wants is not asked for.
    pub(crate) fn leave(&mut self, query: Uuid) {
        let Some(waiting) = self.queries.remove(&query) else {
            return;
        };
        self.leave_lane(&waiting.namespace, waiting.age);
        if let hash_map::Entry::Occupied(mut wanted) = self.pages.entry(waiting.page) {
            wanted.get_mut().by.remove(&query);
            if wanted.get().by.is_empty() && !wanted.get().in_flight {
                wanted.remove();
            }
        }
    }

    /// The page whose turn it is, and the request for it. It counts as in flight until it is finished or put back.
    pub(crate) fn pop(&mut self) -> Option<(K, R)> {
        let namespace = self.turns.front()?.clone();
        let query = *self.lanes.get(&namespace)?.first_key_value()?.1;
        // To the end of the turns, which only those leave that have nothing left.
        self.turns.rotate_left(1);
        let page = self.queries.get(&query)?.page.clone();
        let wanted = self.pages.get_mut(&page)?;
        wanted.in_flight = true;
        let request = wanted.request.clone();
        for (namespace, age) in self.places(&page) {
            self.leave_lane(&namespace, age);
        }
        Some((page, request))
    }

    /// The page could not be asked for yet: it stands where it stood, and it is its namespace's turn again.
    pub(crate) fn put_back(&mut self, page: &K) {
        let Some(wanted) = self.pages.get_mut(page) else {
            return;
        };
        wanted.in_flight = false;
        let mut by: Vec<_> = wanted.by.iter().copied().collect();
        if by.is_empty() {
            self.pages.remove(page);
            return;
        }
        by.sort_unstable_by_key(|query| self.queries.get(query).map(|waiting| waiting.age));
        for query in &by {
            if let Some(Waiting { namespace, age, .. }) = self.queries.get(query) {
                let (namespace, age) = (namespace.clone(), *age);
                self.enter_lane(*query, namespace, age);
            }
        }
        let oldest = by.first().and_then(|query| self.queries.get(query));
        let position = oldest.and_then(|oldest| self.turns.iter().position(|turn| *turn == oldest.namespace));
        if let Some(turn) = position.and_then(|position| self.turns.remove(position)) {
            self.turns.push_front(turn);
        }
    }

    /// The request for the page is over. Who waited for it waits no more, and is returned to be told.
    pub(crate) fn finish(&mut self, page: &K) -> Vec<(Uuid, O)> {
        for (namespace, age) in self.places(page) {
            self.leave_lane(&namespace, age);
        }
        let by = self
            .pages
            .remove(page)
            .map(|wanted| wanted.by)
            .unwrap_or_default();
        by.into_iter()
            .filter_map(|query| self.queries.remove(&query).map(|waiting| (query, waiting.object)))
            .collect()
    }

    /// Who waits for the page.
    pub(crate) fn waiting_for(&self, page: &K) -> impl Iterator<Item = (Uuid, &O)> {
        let by = self.pages.get(page).into_iter().flat_map(|wanted| &wanted.by);
        by.filter_map(|query| self.queries.get(query).map(|waiting| (*query, &waiting.object)))
    }

    /// The oldest query of each namespace.
    pub(crate) fn oldest(&self) -> impl Iterator<Item = Uuid> {
        self.lanes
            .values()
            .filter_map(|lane| lane.first_key_value().map(|(_, query)| *query))
    }

    /// How many requests are wanted, the one in flight included.
    pub(crate) fn len(&self) -> usize {
        self.pages.len()
    }

    fn places(&self, page: &K) -> Vec<(String, u64)> {
        let by = self.pages.get(page).into_iter().flat_map(|wanted| &wanted.by);
        let waiting = by.filter_map(|query| self.queries.get(query));
        waiting
            .map(|waiting| (waiting.namespace.clone(), waiting.age))
            .collect()
    }

    fn enter_lane(&mut self, query: Uuid, namespace: String, age: u64) {
        match self.lanes.entry(namespace) {
            hash_map::Entry::Occupied(mut lane) => {
                lane.get_mut().insert(age, query);
            }
            hash_map::Entry::Vacant(lane) => {
                self.turns.push_back(lane.key().clone());
                lane.insert(BTreeMap::from([(age, query)]));
            }
        }
    }

    fn leave_lane(&mut self, namespace: &str, age: u64) {
        let Some(lane) = self.lanes.get_mut(namespace) else {
            return;
        };
        lane.remove(&age);
        if lane.is_empty() {
            self.lanes.remove(namespace);
            self.turns.retain(|turn| turn != namespace);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Queue = UpstreamQueue<&'static str, &'static str, &'static str>;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    /// Pushes (query, namespace, page).
    fn queue(wishes: &[(u128, &'static str, &'static str)]) -> Queue {
        let mut queue = Queue::new();
        for (query, namespace, page) in wishes {
            queue.push(id(*query), namespace, namespace, *page, *page);
        }
        queue
    }

    /// Pops and finishes until nothing is left.
    fn drain(queue: &mut Queue) -> Vec<&'static str> {
        let mut order = Vec::new();
        while let Some((page, _)) = queue.pop() {
            queue.finish(&page);
            order.push(page);
        }
        order
    }

    #[test]
    fn namespaces_take_turns_and_within_one_the_oldest_is_first() {
        type Case = (
            &'static [(u128, &'static str, &'static str)],
            &'static [&'static str],
        );
        let cases: &[Case] = &[
            (&[], &[]),
            (
                &[(1, "a", "p1"), (2, "a", "p2"), (3, "a", "p3")],
                &["p1", "p2", "p3"],
            ),
            (
                &[(1, "a", "p1"), (2, "a", "p2"), (3, "a", "p3"), (4, "b", "p4")],
                &["p1", "p4", "p2", "p3"],
            ),
            (
                &[(1, "a", "p1"), (2, "b", "p2"), (3, "c", "p3"), (4, "a", "p4")],
                &["p1", "p2", "p3", "p4"],
            ),
            // One request for three, at the turn of the first that gets one.
            (
                &[(1, "a", "p1"), (2, "a", "p2"), (3, "b", "p2"), (4, "c", "p2")],
                &["p1", "p2"],
            ),
            // The wish for another page replaces the first one.
            (&[(1, "a", "p1"), (2, "a", "p2"), (1, "a", "p3")], &["p2", "p3"]),
            // The same wish again keeps its place.
            (&[(1, "a", "p1"), (2, "a", "p2"), (1, "a", "p1")], &["p1", "p2"]),
        ];
        for (wishes, order) in cases {
            let mut queue = queue(wishes);
            assert_eq!(drain(&mut queue), *order, "{wishes:?}");
            assert_eq!(
                (
                    queue.len(),
                    queue.queries.len(),
                    queue.lanes.len(),
                    queue.turns.len()
                ),
                (0, 0, 0, 0)
            );
        }
    }

    #[test]
    fn one_answer_is_for_all_who_want_it_also_for_late_ones() {
        let mut queue = queue(&[(1, "a", "p1"), (2, "b", "p1")]);
        let (page, request) = queue.pop().unwrap();
        assert_eq!((page, request), ("p1", "p1"));
        assert_eq!(queue.pop(), None, "the page is in flight");
        queue.push(id(3), "a", "a", "p1", "p1");
        assert_eq!(queue.pop(), None, "joined, not asked for again");
        let mut told: Vec<_> = queue.finish(&page).into_iter().map(|(query, _)| query).collect();
        told.sort_unstable();
        assert_eq!(told, [id(1), id(2), id(3)]);
        assert_eq!(queue.len(), 0);
        queue.push(id(3), "a", "a", "p2", "p2");
        assert_eq!(drain(&mut queue), ["p2"]);
    }

    #[test]
    fn what_is_put_back_stands_where_it_stood() {
        let mut queue = queue(&[(1, "a", "p1"), (2, "a", "p2"), (3, "b", "p3")]);
        let (page, _) = queue.pop().unwrap();
        queue.put_back(&page);
        assert_eq!(drain(&mut queue), ["p1", "p3", "p2"]);
    }

    #[test]
    fn who_leaves_is_not_told_and_what_nobody_wants_is_not_asked_for() {
        let mut queue = queue(&[(1, "a", "p1"), (2, "a", "p2"), (3, "b", "p2"), (4, "b", "p3")]);
        queue.leave(id(1));
        queue.leave(id(2));
        queue.leave(id(9));
        assert_eq!(queue.len(), 2);
        let (page, _) = queue.pop().unwrap();
        assert_eq!(page, "p2");
        // The last one leaves while the page is in flight: neither finishing nor putting back brings it back.
        queue.leave(id(3));
        queue.put_back(&page);
        assert_eq!(queue.finish(&page), []);
        assert_eq!(drain(&mut queue), ["p3"]);
    }

    #[test]
    fn other_queries_get_turns_between_slices() {
        let mut queue = queue(&[(1, "a", "big, slice 1"), (2, "a", "p2")]);
        let (page, _) = queue.pop().unwrap();
        queue.finish(&page);
        queue.push(id(1), "a", "a", "big, slice 2", "big, slice 2");
        assert_eq!(drain(&mut queue), ["p2", "big, slice 2"]);
    }
}
