//! The backlog at one moment, in the order in which the operator sends requests. Computed at most a few times a second,
//! however often it is read or changes.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, PoisonError},
    time::Duration,
};

use crd::{ArxivQuery, Phase};
use jiff::Timestamp;
use queue::{QueueEntry, schedule};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::Instant;

use crate::{
    error::whole_seconds,
    jobs::backlog::{Backlog, QueuedQuery},
};

/// Maximum age of a snapshot: sorting 20,000 queries takes some 10 ms.
const MAX_AGE: Duration = Duration::from_millis(250);

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

/// The backlog at one moment.
pub(crate) struct Snapshot {
    version: u64,
    taken: Instant,
    /// The runnable queries in the order of their requests to arXiv.
    pub(crate) order: Vec<Arc<QueuedQuery>>,
    positions: HashMap<String, QueuePosition>,
    pub(crate) counts: Counts,
    /// The last queries that finished, newest first.
    pub(crate) ended: Vec<Arc<ArxivQuery>>,
    /// This snapshot as the text of an event, written once for all clients that follow the list.
    pub(crate) text: OnceLock<String>,
}

/// The number of queries in each phase.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub(crate) struct Counts {
    pub(crate) pending: usize,
    pub(crate) running: usize,
    pub(crate) suspended: usize,
}

impl Snapshot {
    /// A query's position in the queue, if it waits.
    pub(crate) fn position(&self, name: &str) -> Option<QueuePosition> {
        self.positions.get(name).copied()
    }
}

impl Backlog {
    /// A snapshot that includes all changes up to this version.
    pub(crate) async fn snapshot_of(&self, version: u64) -> Arc<Snapshot> {
        loop {
            let snapshot = self.snapshot();
            if snapshot.version >= version {
                return snapshot;
            }
            tokio::time::sleep(MAX_AGE).await;
        }
    }

    /// The backlog as it was at most [`MAX_AGE`] ago.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        // Locked while a snapshot is computed, so that concurrent callers compute one.
        let mut last = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        let version = *self.changes.borrow();
        if let Some(last) = &*last
            && (last.version == version || last.taken.elapsed() < MAX_AGE)
        {
            return Arc::clone(last);
        }
        let (tracked, overflow, ended) = {
            let state = self.lock();
            let tracked: Vec<_> = state.tracked.values().cloned().collect();
            (
                tracked,
                state.overflow.len(),
                state.ended.iter().cloned().collect(),
            )
        };
        let (runnable, suspended): (Vec<_>, Vec<_>) =
            tracked.into_iter().partition(|queued| queued.is_runnable());
        let running = runnable
            .iter()
            .filter(|queued| queued.view.phase == Phase::Running)
            .count();
        let counts = Counts {
            pending: overflow + runnable.len() - running,
            running,
            suspended: suspended.len(),
        };
        let (order, positions) = in_order(runnable, self.interval, self.ceiling, Timestamp::now());
        let snapshot = Arc::new(Snapshot {
            version,
            taken: Instant::now(),
            positions,
            order,
            counts,
            ended,
            text: OnceLock::new(),
        });
        *last = Some(Arc::clone(&snapshot));
        snapshot
    }
}

/// Sorts the runnable queries by their turn, and determines the position of each; `interval`: the least time between two
/// requests to arXiv; `ceiling`: the highest priority that counts.
pub(super) fn in_order(
    mut order: Vec<Arc<QueuedQuery>>,
    interval: Duration,
    ceiling: i32,
    now: Timestamp,
) -> (Vec<Arc<QueuedQuery>>, HashMap<String, QueuePosition>) {
    // All are in one namespace.
    let namespace: Arc<str> = "".into();
    let waiting = order.iter().map(|queued| queue::Waiting {
        entry: QueueEntry {
            query: queued.view.uid.unwrap_or_default(),
            priority: queued.priority.min(ceiling),
            namespace: Arc::clone(&namespace),
            client: queued.client.as_deref().unwrap_or_default().into(),
            age: queued.age(),
        },
        request_key: queued.request_key,
        requests: queued.requests,
    });
    let places = schedule(&waiting.collect::<Vec<_>>());
    let pause_end = order.iter().filter_map(|queued| queued.retry_after).max();
    let pause = pause_end.and_then(|end| Duration::try_from(end.duration_since(now)).ok());
    let position = |place: queue::Place| {
        let turns = u32::try_from(place.requests_before).unwrap_or(u32::MAX);
        let expected = interval
            .saturating_mul(turns)
            .saturating_add(pause.unwrap_or_default());
        QueuePosition {
            place: place.place,
            requests_before: place.requests_before,
            expected_seconds: whole_seconds(expected),
            scope: "namespace",
        }
    };
    let names = order.iter().map(|queued| queued.view.name.clone());
    let positions: HashMap<_, _> = names.zip(places.into_iter().map(position)).collect();
    order.sort_by_key(|queued| positions.get(&queued.view.name).map(|position| position.place));
    (order, positions)
}
