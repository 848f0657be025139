//! The backlog at one moment. Computed at most a few times a second, however often it is read or changes.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, PoisonError},
    time::Duration,
};

use crd::{ArxivQuery, Phase};
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;

use crate::{
    jobs::backlog::positions::in_order,
    jobs::backlog::{Backlog, QueuePosition, QueuedQuery},
};

/// Maximum age of a snapshot: sorting 20,000 queries takes some 10 ms.
const MAX_AGE: Duration = Duration::from_millis(250);

/// The backlog at one moment.
pub(crate) struct Snapshot {
    version: u64,
    taken: Instant,
    /// The runnable queries in the order of their requests to arXiv.
    pub(crate) order: Vec<(Arc<str>, Arc<QueuedQuery>)>,
    positions: HashMap<Arc<str>, QueuePosition>,
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
        let (waiting, counts, ended) = {
            let state = self.lock();
            let mut counts = Counts {
                pending: state.overflow.len(),
                ..Counts::default()
            };
            for waiting in state.tracked.values() {
                match waiting.phase {
                    Phase::Running => counts.running += 1,
                    _ if waiting.is_runnable() => counts.pending += 1,
                    _ => counts.suspended += 1,
                }
            }
            let waiting = state.tracked.iter().filter(|(_, waiting)| waiting.is_runnable());
            let waiting = waiting.map(|(name, waiting)| (Arc::clone(name), Arc::clone(waiting)));
            (waiting.collect(), counts, state.ended.iter().cloned().collect())
        };
        let (order, positions) = in_order(waiting, self.interval, Timestamp::now());
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
