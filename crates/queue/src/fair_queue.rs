//! Queries in the order of their turns.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

use jiff::Timestamp;
use uuid::Uuid;

/// How long a query has waited for its turn. The query that has waited longest is the least.
///
/// Kubernetes records the second in which an object was created. Objects of the same second are ordered by
/// their resource versions as they were first seen: decimal numbers that grow with each write of any object,
/// so before its first change an object has the version of its creation. Every process that saw the object
/// before its first change has the same order.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Age {
    at: Timestamp,
    version: u64,
}

impl Age {
    /// From the creation of its object; `version`: the resource version with which the object was first seen.
    pub fn created(at: Timestamp, version: Option<&str>) -> Self {
        Self {
            at,
            version: version.and_then(|version| version.parse().ok()).unwrap_or(0),
        }
    }

    /// From its latest slice.
    pub fn answered(at: Timestamp) -> Self {
        Self { at, version: 0 }
    }

    /// The time, without the version.
    pub fn at(self) -> Timestamp {
        self.at
    }
}

/// A query, with everything that decides on its turn.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct QueueEntry {
    /// The object's uid.
    pub query: Uuid,
    /// Higher priorities come first, whatever else.
    pub priority: i32,
    /// Within a priority, namespaces take turns.
    pub namespace: Arc<str>,
    /// Within a namespace, clients take turns: by the label of the object's client, which is empty for objects that
    /// were made by other means than the API.
    pub client: Arc<str>,
    /// Of one client, the query that has waited longest is first: since its object was created, or since its latest
    /// slice.
    pub age: Age,
}

/// The waiting queries.
#[derive(Debug, Default)]
pub struct FairQueue {
    /// Highest priority first.
    classes: BTreeMap<Reverse<i32>, Class>,
}

/// The queries of one priority: namespaces take turns, and within each its clients.
type Class = Turns<Turns<BTreeSet<(Age, Uuid)>>>;

/// Lanes that take turns, by name. One without queries is absent.
#[derive(Debug)]
struct Turns<L> {
    lanes: BTreeMap<Arc<str>, L>,
    /// The lane that had the latest turn. The next one by name is next.
    served: Option<Arc<str>>,
}

impl<L> Default for Turns<L> {
    fn default() -> Self {
        Self {
            lanes: BTreeMap::new(),
            served: None,
        }
    }
}

impl<L> Turns<L> {
    /// The lane whose turn it is.
    fn next(&self) -> Option<&L> {
        let after = self.served.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut behind = self.lanes.range::<str, _>((after, Bound::Unbounded));
        let (_, lane) = behind.next().or_else(|| self.lanes.first_key_value())?;
        Some(lane)
    }
}

impl FairQueue {
    /// Adds a query.
    pub fn insert(&mut self, entry: &QueueEntry) {
        let class = self.classes.entry(Reverse(entry.priority)).or_default();
        let clients = class.lanes.entry(Arc::clone(&entry.namespace)).or_default();
        let lane = clients.lanes.entry(Arc::clone(&entry.client)).or_default();
        lane.insert((entry.age, entry.query));
    }

    /// Removes a query. With its last query, a priority forgets which namespace had the latest turn, and a namespace
    /// which client.
    pub fn remove(&mut self, entry: &QueueEntry) {
        let Some(class) = self.classes.get_mut(&Reverse(entry.priority)) else {
            return;
        };
        if let Some(clients) = class.lanes.get_mut(&entry.namespace) {
            if let Some(lane) = clients.lanes.get_mut(&entry.client) {
                lane.remove(&(entry.age, entry.query));
                if lane.is_empty() {
                    clients.lanes.remove(&entry.client);
                }
            }
            if clients.lanes.is_empty() {
                class.lanes.remove(&entry.namespace);
            }
        }
        if class.lanes.is_empty() {
            self.classes.remove(&Reverse(entry.priority));
        }
    }

    /// The query whose turn it is.
    pub fn first(&self) -> Option<Uuid> {
        let (_, class) = self.classes.first_key_value()?;
        let lane = class.next()?.next()?;
        lane.first().map(|(_, query)| *query)
    }

    /// Records that the query had its turn: within its priority, another namespace is next, and within its namespace
    /// another client.
    pub fn mark_served(&mut self, entry: &QueueEntry) {
        if let Some(class) = self.classes.get_mut(&Reverse(entry.priority)) {
            class.served = Some(Arc::clone(&entry.namespace));
            if let Some(clients) = class.lanes.get_mut(&entry.namespace) {
                clients.served = Some(Arc::clone(&entry.client));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (uid, priority, namespace and client as `NAMESPACE/CLIENT`, second of its age)
    type Row = (u128, i32, &'static str, i64);

    fn entry((query, priority, place, since): Row) -> QueueEntry {
        let (namespace, client) = place.split_once('/').unwrap_or((place, ""));
        QueueEntry {
            query: Uuid::from_u128(query),
            priority,
            namespace: namespace.into(),
            client: client.into(),
            age: Age::answered(Timestamp::from_second(since).unwrap()),
        }
    }

    #[test]
    fn age_is_ordered_by_second_then_by_version_as_a_number() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let order = [
            Age::created(at(1), Some("200")),
            Age::created(at(2), Some("opaque")),
            Age::created(at(2), Some("99")),
            Age::created(at(2), Some("100")),
            Age::answered(at(3)),
            Age::created(at(3), Some("7")),
        ];
        assert!(order.is_sorted_by(|a, b| a < b), "{order:?}");
    }

    #[test]
    fn queue_is_ordered_by_priority_then_namespaces_and_clients_in_turn_then_age() {
        let cases: &[(&str, &[Row], &[u128])] = &[
            ("nobody", &[], &[]),
            (
                "age",
                &[(1, 0, "a", 30), (2, 0, "a", 10), (3, 0, "a", 20)],
                &[2, 3, 1],
            ),
            ("one age", &[(2, 0, "a", 10), (1, 0, "a", 10)], &[1, 2]),
            (
                "priority",
                &[(1, 0, "a", 10), (2, 5, "a", 30), (3, -5, "a", 1)],
                &[2, 1, 3],
            ),
            (
                "namespaces in turn",
                &[
                    (1, 0, "a", 1),
                    (2, 0, "a", 2),
                    (3, 0, "a", 3),
                    (4, 0, "b", 9),
                    (5, 0, "c", 5),
                    (6, 0, "b", 10),
                ],
                &[1, 4, 5, 2, 6, 3],
            ),
            (
                "clients of a namespace in turn, and those of no client with them",
                &[
                    (1, 0, "a/x", 1),
                    (2, 0, "a/x", 2),
                    (3, 0, "a/x", 3),
                    (4, 0, "a/y", 9),
                    (5, 0, "a", 5),
                    (6, 0, "a", 6),
                ],
                &[5, 1, 4, 6, 2, 3],
            ),
            (
                "namespaces, whatever the number of their clients",
                &[
                    (1, 0, "a/x", 1),
                    (2, 0, "a/y", 2),
                    (3, 0, "a/z", 3),
                    (4, 0, "b/x", 9),
                    (5, 0, "b/x", 10),
                ],
                &[1, 4, 2, 5, 3],
            ),
            (
                "turns of each priority",
                &[
                    (1, 9, "a", 1),
                    (2, 9, "b", 2),
                    (3, 0, "a", 3),
                    (4, 0, "b", 4),
                    (5, 0, "b", 5),
                ],
                &[1, 2, 3, 4, 5],
            ),
        ];
        for (name, rows, order) in cases {
            let mut queue = FairQueue::default();
            for row in *rows {
                queue.insert(&entry(*row));
            }
            let mut got = Vec::new();
            while let Some(first) = queue.first() {
                let row = rows.iter().find(|row| Uuid::from_u128(row.0) == first).unwrap();
                got.push(row.0);
                queue.mark_served(&entry(*row));
                queue.remove(&entry(*row));
            }
            assert_eq!(got, *order, "{name}");
            assert!(queue.classes.is_empty(), "{name}");
        }
    }

    /// However many queries one namespace or a higher priority has, the other namespaces get their turns.
    #[test]
    fn namespace_gets_its_turn_while_a_higher_priority_comes_and_goes() {
        let mut queue = FairQueue::default();
        for n in 0..50 {
            queue.insert(&entry((n, 0, "a", 1)));
        }
        let other = entry((100, 0, "b", 99));
        queue.insert(&other);
        let mut turns = 0;
        while queue.first() != Some(other.query) {
            let entry = entry((queue.first().unwrap().as_u128(), 0, "a", 1));
            queue.mark_served(&entry);
            queue.remove(&entry);
            let urgent = self::entry((1000 + turns, 7, "a", 1));
            queue.insert(&urgent);
            assert_eq!(queue.first(), Some(urgent.query));
            queue.mark_served(&urgent);
            queue.remove(&urgent);
            turns += 1;
        }
        assert_eq!(turns, 1);
    }
}
