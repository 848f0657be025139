//! The upstream gate: one request, one connection, one interval, over all processes.
//!
//! Two mechanisms together enforce it: the lock ([`lock`]), held from before the slot is read until the request's connection is
//! closed, and the slot ([`slot`]), a time in a row, moved before the request is sent and again after it. The lock alone
//! would not know when the last request was sent; the slot alone would not know whether it has ended.

mod lock;
mod slot;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;

use self::lock::answered;
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
    /// Longest time that may pass between the slot's commit and the request, with a database nearby.
    pub slack: Duration,
    /// The same with a distant database: where an answer takes longer than `slack`, a slot is taken with more, up to this.
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
    /// The round trip to another continent, or to a busy server. Each time the gate's server changes, so much time is lost: no more.
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

    /// How far a slot is moved when it is taken: by the slack more than the interval, since the request may be sent so
    /// much later. Without an interval there is no limit to enforce, and no caller waits.
    fn slot_step(&self, slack: Duration) -> Duration {
        if self.interval.is_zero() {
            Duration::ZERO
        } else {
            self.interval + slack
        }
    }

    /// The slack for a database that took so long to answer: its next answer may take twice as long.
    fn slack_for(&self, answer: Duration) -> Duration {
        (answer * 2).min(self.max_slack).max(self.slack)
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
}

impl Gate {
    /// A gate that connects when first used.
    pub fn new(settings: GateSettings) -> Result<Self, StorageError> {
        let (address, name) = (settings.address.clone(), &settings.application_name);
        Ok(Self {
            lock: lock::LockConnection::new(address, name, settings.interval)?,
            settings: Arc::new(settings),
        })
    }

    /// Waits for the lease, at most `timeout`: first within the process, then among all processes, in order.
    pub async fn acquire(&self, timeout: Duration) -> Result<GateLease, GateError> {
        let held = self.lock.acquire(Instant::now() + timeout).await?;
        // The holder before may be farther from the database than this process.
        let longest = self.settings.slot_step(self.settings.max_slack);
        Ok(GateLease {
            slack: self.settings.slack_for(held.answer_took),
            held,
            settings: Arc::clone(&self.settings),
            others_have_ended: Instant::now() + lock::LOSS_IS_NOTICED.max(longest),
            slot_taken: false,
        })
    }
}

/// The right to be the only process with a connection to arXiv. Dropped, it is released at once.
pub struct GateLease {
    held: lock::Held,
    settings: Arc<GateSettings>,
    /// How long the next slot stays valid.
    slack: Duration,
    /// When a request of the lease before is over, and an interval since its start, in case its holder lost the lock.
    others_have_ended: Instant,
    slot_taken: bool,
}

impl GateLease {
    /// Waits for the next slot, at most `timeout`, and takes it.
    ///
    /// A lock is free as soon as its connection breaks, but its holder takes a moment to notice and to drop its request.
    /// The row says that such a request was open, and then this waits for its end as well. It does the same on a server that was
    /// started since, as after a fail-over: its row may be an old one.
    pub async fn slot(&mut self, timeout: Duration) -> Result<Slot, GateError> {
        let deadline = Instant::now() + timeout;
        loop {
            // Counted from before the statement, so that the time of its commit is included.
            let asked = Instant::now();
            let fresh_until = asked + self.slack;
            let open_is_ours = self.slot_taken || self.others_have_ended <= asked;
            let take = slot::take(self.held.session(), &self.settings, self.slack, open_is_ours);
            if answered(take).await? {
                self.slot_taken = true;
                // If this slot is too old already, the next one is valid for longer.
                self.slack = self.slack.max(self.settings.slack_for(asked.elapsed()));
                return Ok(Slot { fresh_until });
            }
            let delay = answered(slot::delay(self.held.session())).await?;
            let left = deadline.saturating_duration_since(Instant::now());
            if let Some(until) = delay.until
                && delay.cooldown > left
            {
                return Err(GateError::CoolingDown {
                    until,
                    retry_after: delay.cooldown,
                });
            }
            let mut wait = delay.slot.max(delay.cooldown);
            if delay.open && !self.slot_taken {
                wait = wait.max(self.others_have_ended.saturating_duration_since(Instant::now()));
            }
            if wait > left {
                return Err(GateError::Busy { retry_after: wait });
            }
            // A lost lock ends the wait: another process may have the lease.
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                error = self.held.lost() => return Err(error.into()),
            }
        }
    }

    /// Resolves when the lock is lost (its connection broke or hangs). To be raced against the request; may be dropped.
    pub async fn lost(&mut self) -> StorageError {
        self.held.lost().await
    }

    /// After the request, its connection closed: records how it went, moves the slot again, and releases the lease. Returns the end of
    /// the cool-down if there is one.
    pub async fn finish(mut self, outcome: RequestOutcome) -> Result<Option<Timestamp>, StorageError> {
        let until = answered(slot::record(self.held.session(), &self.settings, outcome)).await?;
        self.held.release().await;
        until.map(from_micros).transpose()
    }

    /// Releases the lease without a request.
    pub async fn release(mut self) {
        // If it fails, the next holder waits a little longer than it needs to.
        if self.slot_taken && answered(slot::give_up(self.held.session())).await.is_err() {
            return;
        }
        self.held.release().await;
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
