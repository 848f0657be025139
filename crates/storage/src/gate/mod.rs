//! The upstream gate: one request, one connection, one interval, over all processes.
//!
//! Two mechanisms together enforce it: the lock ([`lock`]), held from before the slot is read until the request's connection is
//! closed, and the slot ([`slot`]), a time in a row, moved before the request is sent and again after it. The lock alone
//! would not know when the last request was sent; the slot alone would not know whether it has ended.
//!
//! Before the request, the slot is moved as far as may be needed, since the process may end or pause at any time; after it, to an
//! interval after the time at which the request had certainly arrived.

mod lock;
mod slot;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use sqlx::PgConnection;
use tokio::time::Instant;

use self::{lock::answered, slot::State};
use crate::{
    StorageError,
    connection::{Address, from_micros},
};

/// How long the server keeps the lock of a machine that disappeared without closing its connection. A request to arXiv needs a
/// shorter deadline, so that it has ended before the next one may start.
pub const LOCK_OUTLIVES_HOST: Duration = Duration::from_secs(30);

/// Settings of the gate.
#[derive(Clone)]
pub struct GateSettings {
    /// The upstream database; the server itself, not through a transaction pooler.
    pub address: Address,
    /// Least time between two requests.
    pub interval: Duration,
    /// How long before it is due a slot is taken, and for how long the request may be sent after that, with a database nearby.
    pub slack: Duration,
    /// With a distant database, where an answer takes longer than `slack`: the longest time from taking a slot to the request.
    pub max_slack: Duration,
    /// Cool-down after the first throttled answer; doubles with each further one.
    pub cooldown_base: Duration,
    /// Longest cool-down, and longest Retry-After that is respected.
    pub cooldown_cap: Duration,
    /// How the server lists the gate's connections.
    pub application_name: String,
}

/// All processes at one gate have to agree on these: a single process with a shorter interval would break the limit for all.
impl GateSettings {
    /// Milliseconds between two requests: what arXiv's terms of use ask for.
    pub const INTERVAL_MS: u64 = 3_000;
    /// The round trip of a commit, and a margin.
    pub const SLACK: Duration = Duration::from_millis(100);
    /// Round trips to another continent, or to a busy server. Each time the gate's server changes, so much time is lost: no more.
    pub const MAX_SLACK: Duration = Duration::from_secs(1);
    /// Milliseconds of the first cool-down.
    pub const COOLDOWN_BASE_MS: u64 = 10_000;
    /// Milliseconds of the longest cool-down.
    pub const COOLDOWN_CAP_MS: u64 = 15 * 60 * 1_000;

    /// The settings that are for arXiv.
    pub fn new(address: impl Into<Address>, application_name: String) -> Self {
        Self {
            address: address.into(),
            interval: Duration::from_millis(Self::INTERVAL_MS),
            slack: Self::SLACK,
            max_slack: Self::MAX_SLACK,
            cooldown_base: Duration::from_millis(Self::COOLDOWN_BASE_MS),
            cooldown_cap: Duration::from_millis(Self::COOLDOWN_CAP_MS),
            application_name,
        }
    }

    /// How far after it was due a slot is moved when it is taken: by the slack more than the interval, since the request may be sent
    /// so much later. Without an interval there is no limit to enforce, and no caller waits.
    fn slot_step(&self, slack: Duration) -> Duration {
        if self.interval.is_zero() {
            Duration::ZERO
        } else {
            self.interval + slack
        }
    }

    /// The longest time from taking a slot to the one after it.
    fn longest_step(&self) -> Duration {
        self.slot_step(self.max_slack.max(self.slack * 2))
    }

    /// The slack for a database that took so long to answer: its next answer may take twice as long.
    fn slack_for(&self, answer: Duration) -> Duration {
        (answer * 2).min(self.max_slack / 2).max(self.slack)
    }
}

/// Why a lease or a slot was not acquired.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// Other requests are first, for longer than the caller is ready to wait.
    #[error("too many requests are waiting for arXiv")]
    Busy {
        /// When another try may succeed.
        retry_after: Duration,
    },
    /// arXiv throttled, and all processes wait until then.
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
pub enum RequestOutcome {
    /// arXiv answered (well or not), without throttling.
    Answered,
    /// arXiv throttled.
    Throttled {
        /// Its Retry-After, if it sent one.
        retry_after: Option<Duration>,
    },
    /// No answer came.
    Failed,
}

/// The gate, one for a process (clones share it).
#[derive(Clone)]
pub struct Gate {
    settings: Arc<GateSettings>,
    lock: lock::LockConnection,
    last: Arc<Mutex<LastLease>>,
}

/// The last lease that this process knows of: the transaction at its end, if that was one of this process.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LastLease(Option<i64>);

impl Gate {
    /// A gate that connects when first used.
    pub fn new(settings: GateSettings) -> Result<Self, StorageError> {
        let settings = Arc::new(settings);
        Ok(Self {
            lock: lock::LockConnection::new(&settings)?,
            settings,
            last: Arc::default(),
        })
    }

    /// The last lease so far, for [`GateLease::follows`].
    pub fn last_lease(&self) -> LastLease {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the lease, at most `timeout`: first within the process, then among all processes, in order.
    pub async fn acquire(&self, timeout: Duration) -> Result<GateLease, GateError> {
        let held = self.lock.acquire(Instant::now() + timeout).await?;
        // The holder before may be farther from the database than this process.
        let longest = self.settings.longest_step();
        Ok(GateLease {
            slack: self.settings.slack_for(held.answer_took()),
            held,
            gate: self.clone(),
            others_have_ended: Instant::now() + lock::LOSS_IS_NOTICED.max(longest),
            slot_taken: false,
        })
    }
}

/// The right to be the only process with a connection to arXiv. Dropped, it is released at once.
pub struct GateLease {
    held: lock::Held,
    gate: Gate,
    /// How long before it is due the next slot is taken, and how long it stays valid.
    slack: Duration,
    /// When a request of the lease before is over, and an interval since its start, in case its holder lost the lock.
    others_have_ended: Instant,
    slot_taken: bool,
}

impl GateLease {
    /// Whether no process has taken a slot between `last` and this lease.
    pub fn follows(&self, last: LastLease) -> bool {
        let State { open, written_by, .. } = self.held.state;
        !open && last == LastLease(Some(written_by))
    }

    /// Waits for the next slot, at most `timeout`, and takes it. It is taken shortly before it is due, so that the request does not
    /// have to wait for the commit then.
    ///
    /// A lock is free as soon as its connection breaks, but its holder takes a moment to notice and to drop its request.
    /// The row says that such a request was open, and then this waits for its end as well. It does the same on a server that was
    /// started since, as after a fail-over: its row may be an old one.
    pub async fn slot(&mut self, timeout: Duration) -> Result<Slot, GateError> {
        let settings = Arc::clone(&self.gate.settings);
        let deadline = Instant::now() + timeout;
        // It was read after a wait for the lock, so the slot was due at this time or earlier.
        let (mut state, mut asked) = (self.held.state, None);
        loop {
            let now = Instant::now();
            let due = state.due();
            let mut enter = due.checked_sub(self.slack).unwrap_or(now).max(state.cool());
            if state.open && !self.slot_taken {
                enter = enter.max(self.others_have_ended);
            }
            let left = deadline.saturating_duration_since(now);
            let cooldown = state.cool().saturating_duration_since(now);
            if let Some(until) = state.until
                && cooldown > left
            {
                return Err(GateError::CoolingDown {
                    until,
                    retry_after: cooldown,
                });
            }
            let wait = enter.max(due).saturating_duration_since(now);
            if wait > left {
                return Err(GateError::Busy { retry_after: wait });
            }
            // It is due at once, or it is known precisely when it is.
            if enter <= now && (due <= now || asked.is_some()) {
                let open_is_ours = self.slot_taken || self.others_have_ended <= now;
                let taking = Instant::now();
                let take = slot::take(self.held.session(), &settings, self.slack, open_is_ours);
                if answered(take).await? {
                    self.slot_taken = true;
                    // If this slot is too old already, the next one is valid for longer.
                    let slack = self.slack;
                    self.slack = slack.max(settings.slack_for(taking.elapsed()));
                    self.wait_until(due).await?;
                    // Counted from before the statements, so that the times of their answers are included.
                    let due = asked.map_or(taking, |asked: Instant| taking.max(asked + state.slot));
                    return Ok(Slot {
                        fresh_until: due + slack,
                    });
                }
            } else {
                self.wait_until(enter).await?;
            }
            let asking = Instant::now();
            state = answered(slot::read(self.held.session(), &settings)).await?;
            asked = Some(asking);
        }
    }

    /// A lost lock ends the wait: another process may have the lease.
    async fn wait_until(&mut self, time: Instant) -> Result<(), StorageError> {
        if time <= Instant::now() {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep_until(time) => Ok(()),
            error = self.held.lost() => Err(error),
        }
    }

    /// The lock's session: when a statement on it succeeds, no other process had the lock.
    pub(crate) fn session(&mut self) -> &mut PgConnection {
        self.held.session()
    }

    /// Resolves when the lock is lost (its connection broke or hangs). To be raced against the request; may be dropped.
    pub async fn lost(&mut self) -> StorageError {
        self.held.lost().await
    }

    /// After the request, its connection closed: records how it went, moves the slot to an interval after the request, and releases
    /// the lease. `arrived_by`: when it had certainly arrived at arXiv, if that is known. Returns the end of the cool-down if there is
    /// one.
    pub async fn finish(
        self,
        outcome: RequestOutcome,
        arrived_by: Option<std::time::Instant>,
    ) -> Result<Option<Timestamp>, StorageError> {
        let arrived_for = arrived_by.map(|arrived_by| arrived_by.elapsed());
        let record = slot::record(&self.gate.settings, outcome, arrived_for);
        let row = self.held.release(&record).await?;
        let (until, written_by) = slot::recorded(&row)?;
        let mut last = self.gate.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = LastLease(Some(written_by));
        drop(last);
        until.map(from_micros).transpose()
    }

    /// Releases the lease without a request.
    pub async fn release(self) {
        let give_up = if self.slot_taken { slot::GIVE_UP } else { "" };
        // If it fails, the lock is free all the same, and the next holder may wait a little longer than it needs to.
        if let Err(error) = self.held.release(give_up).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the upstream gate's connection is closed");
        }
    }
}

/// A slot, committed: one request may be sent while it is fresh.
#[derive(Debug)]
pub struct Slot {
    fresh_until: Instant,
}

impl Slot {
    /// False once more than the slack has passed: take another slot.
    pub fn is_fresh(&self) -> bool {
        Instant::now() < self.fresh_until
    }
}
