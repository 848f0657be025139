//! The upstream gate: one request, one connection, one interval, over all processes.

use std::time::Duration;

use jiff::Timestamp;

use crate::StorageError;

/// How long the server keeps the lock of a machine that vanished without closing its connection. A request upstream has
/// to have a shorter deadline, so that it has ended before the next one may begin.
pub const LOCK_OUTLIVES_HOST: Duration = Duration::from_secs(30);

/// Settings of the gate. No `Debug`: the URL holds a password.
#[derive(Clone)]
pub struct GateSettings {
    /// `postgresql://` URL of the upstream database; to the server itself, not through a transaction pooler.
    pub url: String,
    /// Least time between two requests.
    pub interval: Duration,
    /// Longest time that may pass between the slot's commit and the request.
    pub guard: Duration,
    /// Cool-down after the first throttled answer; doubles with each further one.
    pub cooldown_base: Duration,
    /// Longest cool-down, and longest Retry-After that is believed.
    pub cooldown_cap: Duration,
    /// How the server lists the gate's connections.
    pub application_name: String,
}

/// Why a turn or a slot was not had.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// Others are before us for longer than we are ready to wait.
    #[error("too many requests are waiting for arXiv")]
    Busy {
        /// When another try may have better luck.
        retry_after: Duration,
    },
    /// arXiv throttled, and everybody waits until then.
    #[error("requests to arXiv are paused because it throttles")]
    CoolingDown {
        /// The end, by the database's clock.
        until: Timestamp,
        /// The end, from now.
        retry_after: Duration,
    },
    /// The database failed; the lock, if held, is lost.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// How the request went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// arXiv answered (well or not), without throttling.
    Answered,
    /// arXiv throttled.
    Throttled {
        /// What it asked for, if anything.
        retry_after: Option<Duration>,
    },
    /// No answer came.
    Failed,
}

/// What stands in the gate's row.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GateState {
    /// No request before.
    pub next_slot: Timestamp,
    /// Nor before this; in the past when nothing is cooling down.
    pub cooldown_until: Option<Timestamp>,
    /// Throttled answers since the last good one.
    pub throttled_in_a_row: u32,
}

/// The gate, one for a process (clones share it).
#[derive(Clone)]
pub struct Gate {}

impl Gate {
    /// A gate that connects when first used; to be called within a tokio runtime.
    pub fn new(settings: GateSettings) -> Result<Self, StorageError> {
        todo!("{}", settings.url)
    }

    /// Waits for the turn, at most `patience`: first within the process, then among all processes, in order.
    pub async fn enter(&self, patience: Duration) -> Result<Turn, GateError> {
        todo!("{patience:?}")
    }

    /// What stands in the gate's row.
    pub async fn state(&self) -> Result<GateState, StorageError> {
        todo!()
    }
}

/// The right to be the only one with a connection to arXiv. Dropped: given up at once.
pub struct Turn {}

impl Turn {
    /// Waits for the next slot, at most `patience`, and takes it.
    pub async fn slot(&mut self, patience: Duration) -> Result<Slot, GateError> {
        todo!("{patience:?}")
    }

    /// Resolves when the lock is lost (its connection broke or hangs). To be raced against the request; may be dropped.
    pub async fn lost(&mut self) -> StorageError {
        todo!()
    }

    /// After the request, its connection closed: tells how it went, moves the slot again, ends the turn. Gives the end of
    /// the cool-down if one is on.
    pub async fn finish(self, outcome: Outcome) -> Result<Option<Timestamp>, StorageError> {
        todo!("{outcome:?}")
    }

    /// Ends the turn without a request.
    pub async fn leave(self) {
        todo!()
    }
}

/// A slot, committed: one request may go out while it is fresh.
#[derive(Debug)]
pub struct Slot {
    fresh_until: tokio::time::Instant,
}

impl Slot {
    /// False once more than the guard passed: take another slot.
    pub fn is_fresh(&self) -> bool {
        tokio::time::Instant::now() < self.fresh_until
    }
}
