//! Where each query stands, by the order that the operator takes turns by. Pure: from what waits and the time alone.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use queue::{Standing, schedule};
use schemars::JsonSchema;
use serde::Serialize;

use crate::jobs::backlog::Waiting;

/// A place in the queue.
#[derive(Clone, Copy, Debug, Eq, JsonSchema, PartialEq, Serialize)]
pub(crate) struct InQueue {
    /// From 1, which is next.
    pub(crate) place: usize,
    /// Requests to arXiv that come before its first one: queries that want the same share one.
    pub(crate) requests_before: u64,
    /// Seconds until its turn at the least: that long if nothing more urgent comes, arXiv answers at once, and nobody else
    /// asks it (queries of other namespaces and /arxiv-api take turns too); a pause that arXiv asked for is included.
    pub(crate) expected_seconds: u64,
    /// Queries of which namespaces are counted: this process sees no others.
    pub(crate) covers: &'static str,
}

/// The waiting queries in the order of their turns, and the place of each.
pub(super) type Order = (Vec<(Arc<str>, Arc<Waiting>)>, HashMap<Arc<str>, InQueue>);

/// Puts queries that want a turn in order; `interval`: the least time between two requests.
pub(super) fn in_order(
    mut order: Vec<(Arc<str>, Arc<Waiting>)>,
    interval: Duration,
    now: Timestamp,
) -> Order {
    let namespace: Arc<str> = "".into();
    let in_queue: Vec<_> = order
        .iter()
        .map(|(_, waiting)| queue::Waiting {
            standing: Standing {
                query: waiting.uid,
                priority: waiting.priority,
                // All are of one.
                namespace: Arc::clone(&namespace),
                since: waiting.since(),
            },
            asks: waiting.asks,
            requests: waiting.requests,
        })
        .collect();
    let pause = order
        .iter()
        .filter_map(|(_, waiting)| waiting.retry_after)
        .max()
        .and_then(|until| Duration::try_from(until.duration_since(now)).ok())
        .unwrap_or_default();
    let told = |place: queue::Place| {
        let turns = u32::try_from(place.requests_before).unwrap_or(u32::MAX);
        let expected = interval.saturating_mul(turns).saturating_add(pause);
        InQueue {
            place: place.place,
            requests_before: place.requests_before,
            expected_seconds: expected.as_secs() + u64::from(expected.subsec_nanos() > 0),
            covers: "namespace",
        }
    };
    let scheduled = schedule(&in_queue).into_iter().map(told);
    let places: HashMap<_, _> = order
        .iter()
        .map(|(name, _)| Arc::clone(name))
        .zip(scheduled)
        .collect();
    order.sort_by_key(|(name, _)| places.get(name).map(|place| place.place));
    (order, places)
}
