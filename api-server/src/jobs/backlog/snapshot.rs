//! The backlog at one moment, made at most a few times a second, however often it is asked for or changes.

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
    jobs::backlog::places::in_order,
    jobs::backlog::{Backlog, InQueue, Waiting},
};

/// How old a snapshot may be: sorting 20,000 takes some 10 ms.
const FRESH: Duration = Duration::from_millis(250);

/// The backlog at one moment.
pub(crate) struct Snapshot {
    version: u64,
    taken: Instant,
    /// In the order of their turns.
    pub(crate) order: Vec<(Arc<str>, Arc<Waiting>)>,
    places: HashMap<Arc<str>, InQueue>,
    pub(crate) counts: Counts,
    /// The last ones that ended, newest first.
    pub(crate) ended: Vec<Arc<ArxivQuery>>,
    /// This snapshot as all who follow the list are sent it.
    pub(crate) text: OnceLock<String>,
}

/// How many there are of each kind.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub(crate) struct Counts {
    pub(crate) pending: usize,
    pub(crate) running: usize,
    pub(crate) suspended: usize,
}

impl Snapshot {
    /// Where a query stands, if it waits.
    pub(crate) fn place(&self, name: &str) -> Option<InQueue> {
        self.places.get(name).copied()
    }
}

impl Backlog {
    /// The backlog with all that had changed by this version of it.
    pub(crate) async fn snapshot_of(&self, version: u64) -> Arc<Snapshot> {
        loop {
            let snapshot = self.snapshot();
            if snapshot.version >= version {
                return snapshot;
            }
            tokio::time::sleep(FRESH).await;
        }
    }

    /// The backlog as it was at most [`FRESH`] ago.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        // Held while one is made, so that it is made once.
        let mut last = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        let version = *self.changes.borrow();
        if let Some(last) = &*last
            && (last.version == version || last.taken.elapsed() < FRESH)
        {
            return Arc::clone(last);
        }
        let (waiting, counts, ended) = {
            let state = self.lock();
            let mut counts = Counts {
                pending: state.counted.len(),
                ..Counts::default()
            };
            for waiting in state.held.values() {
                match waiting.phase {
                    Phase::Running => counts.running += 1,
                    _ if waiting.wants_a_turn() => counts.pending += 1,
                    _ => counts.suspended += 1,
                }
            }
            let waiting = state.held.iter().filter(|(_, waiting)| waiting.wants_a_turn());
            let waiting = waiting.map(|(name, waiting)| (Arc::clone(name), Arc::clone(waiting)));
            (waiting.collect(), counts, state.ended.iter().cloned().collect())
        };
        let (order, places) = in_order(waiting, self.interval, Timestamp::now());
        let snapshot = Arc::new(Snapshot {
            version,
            taken: Instant::now(),
            places,
            order,
            counts,
            ended,
            text: OnceLock::new(),
        });
        *last = Some(Arc::clone(&snapshot));
        snapshot
    }
}
