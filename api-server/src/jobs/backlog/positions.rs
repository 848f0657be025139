//! The position of each query, in the order in which the operator sends requests. A pure function of the waiting queries
//! and the time.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use queue::{QueueEntry, schedule};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{error::whole_seconds, jobs::backlog::QueuedQuery};

/// A query's position in the queue.
#[derive(Clone, Copy, Debug, Eq, JsonSchema, PartialEq, Serialize)]
pub(crate) struct QueuePosition {
    /// From 1, which is next.
    pub(crate) place: usize,
    /// Requests to arXiv before its first one: queries with the same search share one request.
    pub(crate) requests_before: u64,
    /// The least number of seconds until its first request: correct if nothing more urgent comes, arXiv answers at once, and
    /// nobody else sends requests (queries of other namespaces and /arxiv-api do). Includes a pause that arXiv asked for.
    pub(crate) expected_seconds: u64,
    /// Which queries are counted: always "namespace", since this process sees no other namespaces. (`covers` in JSON.)
    #[serde(rename = "covers")]
    pub(crate) scope: &'static str,
}

/// The runnable queries in the order of their requests, and the position of each.
pub(super) type Order = (
    Vec<(Arc<str>, Arc<QueuedQuery>)>,
    HashMap<Arc<str>, QueuePosition>,
);

/// Sorts the runnable queries; `interval`: the least time between two requests to arXiv.
pub(super) fn in_order(
    mut order: Vec<(Arc<str>, Arc<QueuedQuery>)>,
    interval: Duration,
    now: Timestamp,
) -> Order {
    let namespace: Arc<str> = "".into();
    let in_queue: Vec<_> = order
        .iter()
        .map(|(_, waiting)| queue::Waiting {
            entry: QueueEntry {
                query: waiting.uid,
                priority: waiting.priority,
                // All are in one namespace.
                namespace: Arc::clone(&namespace),
                age: waiting.age(),
            },
            request_key: waiting.request_key,
            requests: waiting.requests,
        })
        .collect();
    let pause = order
        .iter()
        .filter_map(|(_, waiting)| waiting.retry_after)
        .max()
        .and_then(|until| Duration::try_from(until.duration_since(now)).ok())
        .unwrap_or_default();
    let position = |place: queue::Place| {
        let turns = u32::try_from(place.requests_before).unwrap_or(u32::MAX);
        let expected = interval.saturating_mul(turns).saturating_add(pause);
        QueuePosition {
            place: place.place,
            requests_before: place.requests_before,
            expected_seconds: whole_seconds(expected),
            scope: "namespace",
        }
    };
    let scheduled = schedule(&in_queue).into_iter().map(position);
    let positions: HashMap<_, _> = order
        .iter()
        .map(|(name, _)| Arc::clone(name))
        .zip(scheduled)
        .collect();
    order.sort_by_key(|(name, _)| positions.get(name).map(|position| position.place));
    (order, positions)
}
