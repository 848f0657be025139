//! The upstream queue: which pages are wanted, by which queries, and whose turn it is. Pure data, no clock, no I/O.
//!
//! The order is that of [`queue::Lanes`]: priority, then namespaces in turn, then age. A page that many queries want is
//! one request: it leaves the queue when the first of them has its turn. A query that wants a further slice stands
//! behind those that waited meanwhile, so that others get their turns between the slices of a big one.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet, hash_map};
use std::hash::Hash;

use ::queue::{Lanes, Standing};
use uuid::Uuid;

/// The queue. `P` is a page, `O` what finds a waiting object again.
#[derive(Debug)]
pub(crate) struct UpstreamQueue<P, O> {
    pages: HashMap<P, Wanted>,
    queries: HashMap<Uuid, Waiting<P, O>>,
    lanes: Lanes,
}

#[derive(Debug, Default)]
struct Wanted {
    by: HashSet<Uuid>,
    /// Whose turn it is, if the page is asked for right now. Then it is in no lane; who wants it meanwhile joins.
    in_flight: Option<Standing>,
}

#[derive(Debug)]
struct Waiting<P, O> {
    page: P,
    standing: Standing,
    object: O,
}

impl<P: Clone + Eq + Hash, O> UpstreamQueue<P, O> {
    pub(crate) fn new() -> Self {
        Self {
            pages: HashMap::new(),
            queries: HashMap::new(),
            lanes: Lanes::default(),
        }
    }

    /// The query wants this page; if it waits for it already, it keeps its age, but not its priority. A query waits for
    /// one page at a time: another one replaces it.
    pub(crate) fn push(&mut self, standing: Standing, object: O, page: P) {
        let query = standing.query;
        if let Some(waiting) = self
            .queries
            .get_mut(&query)
            .filter(|waiting| waiting.page == page)
        {
            if waiting.standing.priority != standing.priority {
                let in_lane = self
                    .pages
                    .get(&page)
                    .is_some_and(|wanted| wanted.in_flight.is_none());
                self.lanes.remove(&waiting.standing);
                waiting.standing.priority = standing.priority;
                if in_lane {
                    self.lanes.insert(&waiting.standing);
                }
            }
            return;
        }
        self.leave(query);
        let wanted = self.pages.entry(page.clone()).or_default();
        wanted.by.insert(query);
        if wanted.in_flight.is_none() {
            self.lanes.insert(&standing);
        }
        self.queries.insert(
            query,
            Waiting {
                page,
                standing,
                object,
            },
        );
    }

    /// The query wants nothing any more. A page that nobody else wants is not asked for.
    pub(crate) fn leave(&mut self, query: Uuid) {
        let Some(waiting) = self.queries.remove(&query) else {
            return;
        };
        self.lanes.remove(&waiting.standing);
        if let hash_map::Entry::Occupied(mut wanted) = self.pages.entry(waiting.page) {
            wanted.get_mut().by.remove(&query);
            if wanted.get().by.is_empty() && wanted.get().in_flight.is_none() {
                wanted.remove();
            }
        }
    }

    /// The page whose turn it is. It counts as in flight until it is finished or put back.
    pub(crate) fn pop(&mut self) -> Option<P> {
        let first = self.queries.get(&self.lanes.first()?)?;
        let (page, turn) = (first.page.clone(), first.standing.clone());
        let wanted = self.pages.get_mut(&page)?;
        wanted.in_flight = Some(turn);
        for query in &wanted.by {
            if let Some(waiting) = self.queries.get(query) {
                self.lanes.remove(&waiting.standing);
            }
        }
        Some(page)
    }

    /// The page could not be asked for yet: it stands where it stood, and it is its namespace's turn again.
    pub(crate) fn put_back(&mut self, page: &P) {
        let Some(wanted) = self.pages.get_mut(page) else {
            return;
        };
        wanted.in_flight = None;
        if wanted.by.is_empty() {
            self.pages.remove(page);
            return;
        }
        for query in &wanted.by {
            if let Some(waiting) = self.queries.get(query) {
                self.lanes.insert(&waiting.standing);
            }
        }
    }

    /// The request for the page is over. Who waited for it waits no more, and is returned to be told.
    pub(crate) fn finish(&mut self, page: &P) -> Vec<(Uuid, O)> {
        let Some(wanted) = self.pages.remove(page) else {
            return Vec::new();
        };
        if let Some(turn) = &wanted.in_flight {
            self.lanes.served(turn);
        }
        let told = wanted.by.into_iter().filter_map(|query| {
            let waiting = self.queries.remove(&query)?;
            self.lanes.remove(&waiting.standing);
            Some((query, waiting.object))
        });
        told.collect()
    }

    /// Who waits for the page.
    pub(crate) fn waiting_for(&self, page: &P) -> impl Iterator<Item = (Uuid, &O)> {
        let by = self.pages.get(page).into_iter().flat_map(|wanted| &wanted.by);
        by.filter_map(|query| self.queries.get(query).map(|waiting| (*query, &waiting.object)))
    }

    /// Everybody who waits, with what decides on the turn.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Standing> {
        self.queries.values().map(|waiting| &waiting.standing)
    }

    /// About how many requests are before this query's: that namespaces take turns is left out. None if it does not wait for its turn.
    pub(crate) fn before(&self, query: Uuid) -> Option<usize> {
        let waiting = self.queries.get(&query)?;
        let own = self.pages.get(&waiting.page)?;
        if own.in_flight.is_some() {
            return None;
        }
        let rank = |standing: &Standing| (Reverse(standing.priority), standing.since, standing.query);
        let is_before = |other: &Uuid| {
            let other = self.queries.get(other);
            other.is_some_and(|other| rank(&other.standing) < rank(&waiting.standing))
        };
        let before = self.pages.iter().filter(|(page, wanted)| {
            **page != waiting.page && (wanted.in_flight.is_some() || wanted.by.iter().any(is_before))
        });
        Some(before.count())
    }

    /// How many requests are wanted, the one in flight included.
    pub(crate) fn len(&self) -> usize {
        self.pages.len()
    }
}

#[cfg(test)]
mod tests {
    use ::queue::Since;
    use jiff::Timestamp;

    use super::*;

    type Queue = UpstreamQueue<&'static str, &'static str>;
    /// Query, namespace, page; the later ones are younger.
    type Wish = (u128, &'static str, &'static str);

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    fn standing(query: u128, priority: i32, namespace: &str, since: i64) -> Standing {
        Standing {
            query: id(query),
            priority,
            namespace: namespace.into(),
            since: Since::answered(Timestamp::from_second(since).unwrap()),
        }
    }

    fn queue(wishes: &[Wish]) -> Queue {
        let mut queue = Queue::new();
        for (since, (query, namespace, page)) in (0..).zip(wishes) {
            queue.push(standing(*query, 0, namespace, since), namespace, *page);
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
    fn a_page_has_the_turn_of_the_first_who_wants_it() {
        let cases: &[(&[Wish], &[&str])] = &[
            (&[], &[]),
            (
                &[(1, "a", "p1"), (2, "a", "p2"), (3, "a", "p3"), (4, "b", "p4")],
                &["p1", "p4", "p2", "p3"],
            ),
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
                (queue.len(), queue.queries.len(), queue.lanes.first()),
                (0, 0, None)
            );
        }
    }

    #[test]
    fn another_priority_is_another_place() {
        let mut queue = queue(&[(1, "a", "p1"), (2, "a", "p2"), (3, "a", "p3")]);
        queue.push(standing(3, 5, "a", 99), "a", "p3");
        queue.push(standing(1, -5, "a", 99), "a", "p1");
        assert_eq!(queue.pop(), Some("p3"));
        // While a page is in flight, its query's new priority puts nothing in the lanes twice.
        queue.push(standing(3, 1, "a", 99), "a", "p3");
        assert_eq!(queue.pop(), Some("p2"));
        queue.put_back(&"p3");
        assert_eq!(drain(&mut queue), ["p3", "p1"]);
    }

    #[test]
    fn one_answer_is_for_all_who_want_it_also_for_late_ones() {
        let mut queue = queue(&[(1, "a", "p1"), (2, "b", "p1")]);
        let page = queue.pop().unwrap();
        assert_eq!(queue.pop(), None, "the page is in flight");
        queue.push(standing(3, 9, "a", 9), "a", "p1");
        assert_eq!(queue.pop(), None, "joined, not asked for again");
        let mut told: Vec<_> = queue.finish(&page).into_iter().map(|(query, _)| query).collect();
        told.sort_unstable();
        assert_eq!(told, [id(1), id(2), id(3)]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn about_how_many_are_before_is_told_of_who_waits_for_a_turn() {
        let mut queue = queue(&[(1, "a", "p1"), (2, "a", "p2"), (3, "b", "p2"), (4, "b", "p4")]);
        queue.push(standing(5, 1, "c", 9), "c", "p5");
        queue.push(standing(6, -1, "c", 0), "c", "p6");
        let before = |queue: &Queue| (1..=7).map(|n| queue.before(id(n))).collect::<Vec<_>>();
        let told = [Some(1), Some(2), Some(2), Some(3), Some(0), Some(4), None];
        assert_eq!(before(&queue), told);
        // In flight, it waits for no turn, but is still before the others.
        queue.pop();
        let told = [Some(1), Some(2), Some(2), Some(3), None, Some(4), None];
        assert_eq!(before(&queue), told);
    }

    #[test]
    fn what_is_put_back_stands_where_it_stood() {
        let mut queue = queue(&[(1, "a", "p1"), (2, "a", "p2"), (3, "b", "p3")]);
        let page = queue.pop().unwrap();
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
        let page = queue.pop().unwrap();
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
        let page = queue.pop().unwrap();
        queue.finish(&page);
        queue.push(standing(1, 0, "a", 9), "a", "big, slice 2");
        assert_eq!(drain(&mut queue), ["p2", "big, slice 2"]);
    }
}
