//! When each of the waiting queries has its turn, computed from the queries alone.

use std::{collections::HashMap, hash::Hash, time::Duration};

use jiff::Timestamp;

use crate::{Age, FairQueue, QueueEntry};

/// A waiting query.
#[derive(Clone, Debug)]
pub struct Waiting<P> {
    /// Its entry in the queue.
    pub entry: QueueEntry,
    /// The key of its requests: queries with the same key share them. For example a hash of the search and
    /// its range.
    pub request_key: P,
    /// The number of requests that it still needs, at least 1: slices that are not stored yet.
    pub requests: u32,
}

/// A query's position in the queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place {
    /// 1 for the next query. Queries that share a request follow each other, by their age.
    pub place: usize,
    /// The number of requests before this query's first request. Multiplied by the interval between requests,
    /// it is the time that the query waits for its turn, if arXiv does not throttle.
    pub requests_before: u64,
    /// The number of requests up to and including its last one.
    pub requests_to_the_end: u64,
}

/// The positions of these queries, in the order of the argument.
///
/// The queries do not say which namespace and which client had the latest turn, so the first one by name is
/// assumed to be next: where several have queries of one priority, a position may be wrong by one request for
/// each of the others. Later events (new queries, retries, other users of the gate) are not known either.
pub fn schedule<P: Eq + Hash>(waiting: &[Waiting<P>]) -> Vec<Place> {
    let mut queue = FairQueue::default();
    let mut together: HashMap<&P, Vec<usize>> = HashMap::new();
    let mut by_uid = HashMap::with_capacity(waiting.len());
    for (index, query) in waiting.iter().enumerate() {
        queue.insert(&query.entry);
        together.entry(&query.request_key).or_default().push(index);
        by_uid.insert(query.entry.query, index);
    }
    for group in together.values_mut() {
        group.sort_unstable_by_key(|index| {
            let entry = &waiting[*index].entry;
            (entry.age, entry.query)
        });
    }
    let mut entries: Vec<_> = waiting.iter().map(|query| query.entry.clone()).collect();
    let mut left: Vec<_> = waiting.iter().map(|query| query.requests.max(1)).collect();
    let mut places = vec![None; waiting.len()];
    // A query that had a turn and needs another one comes after all the others.
    let latest = waiting.iter().map(|query| query.entry.age.at()).max();
    let mut end = latest.unwrap_or(Timestamp::MIN);
    let (mut requests, mut positions) = (0, 0);
    while let Some(index) = queue.first().and_then(|query| by_uid.get(&query).copied()) {
        queue.mark_served(&entries[index]);
        end = end.saturating_add(Duration::from_nanos(1)).unwrap_or(end);
        for &member in together.get(&waiting[index].request_key).into_iter().flatten() {
            if left[member] == 0 {
                continue;
            }
            queue.remove(&entries[member]);
            left[member] -= 1;
            let place = places[member].get_or_insert_with(|| {
                positions += 1;
                Place {
                    place: positions,
                    requests_before: requests,
                    requests_to_the_end: 0,
                }
            });
            place.requests_to_the_end = requests + 1;
            if left[member] > 0 {
                entries[member] = QueueEntry {
                    age: Age::answered(end),
                    ..entries[member].clone()
                };
                queue.insert(&entries[member]);
            }
        }
        requests += 1;
    }
    // Each query had its turn, as the queue is empty.
    places.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn waiting(
        (query, priority, namespace, since, request_key, requests): (u128, i32, &str, i64, u8, u32),
    ) -> Waiting<u8> {
        Waiting {
            entry: QueueEntry {
                query: Uuid::from_u128(query),
                priority,
                namespace: namespace.into(),
                client: "".into(),
                age: Age::answered(Timestamp::from_second(since).unwrap()),
            },
            request_key,
            requests,
        }
    }

    #[test]
    fn positions_follow_the_order_of_turns() {
        // (uid, priority, namespace, since, what it asks for, requests): (place, requests before, requests to
        // the end)
        let cases = [
            ("alone", vec![((1, 0, "a", 1, 1, 1), (1, 0, 1))]),
            (
                "by age, whatever the order given",
                vec![
                    ((1, 0, "a", 9, 1, 1), (2, 1, 2)),
                    ((2, 0, "a", 1, 2, 1), (1, 0, 1)),
                ],
            ),
            (
                "priority and turns",
                vec![
                    ((1, 0, "a", 1, 1, 1), (2, 1, 2)),
                    ((2, 0, "a", 2, 2, 1), (4, 3, 4)),
                    ((3, 0, "b", 9, 3, 1), (3, 2, 3)),
                    ((4, 1, "b", 10, 4, 1), (1, 0, 1)),
                ],
            ),
            (
                "one request for all who ask the same",
                vec![
                    ((1, 0, "a", 1, 7, 1), (1, 0, 1)),
                    ((2, 0, "a", 2, 8, 1), (3, 1, 2)),
                    ((3, -9, "b", 3, 7, 1), (2, 0, 1)),
                ],
            ),
            (
                "others between slices",
                vec![
                    ((1, 0, "a", 1, 1, 3), (1, 0, 4)),
                    ((2, 0, "a", 2, 2, 1), (2, 1, 2)),
                ],
            ),
            (
                "slices in turn, and the shorter one ends first",
                vec![
                    ((1, 0, "a", 1, 1, 3), (1, 0, 5)),
                    ((2, 0, "a", 2, 2, 2), (2, 1, 4)),
                ],
            ),
        ];
        for (name, case) in cases {
            let queries: Vec<_> = case.iter().map(|(query, _)| waiting(*query)).collect();
            let expected: Vec<_> = case
                .iter()
                .map(|(_, (place, requests_before, requests_to_the_end))| Place {
                    place: *place,
                    requests_before: *requests_before,
                    requests_to_the_end: *requests_to_the_end,
                })
                .collect();
            assert_eq!(schedule(&queries), expected, "{name}");
        }
        assert_eq!(schedule::<u8>(&[]), []);
    }
}
