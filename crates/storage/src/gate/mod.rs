//! The upstream gate: one request, one connection, one interval, over all processes.
//!
//! Two things together keep it: the lock ([`lock`]), held from before the slot is read until the request's connection is
//! closed, and the slot ([`slot`]), a time in a row, moved before the request goes out and again after it. The lock alone
//! would not know when the last request was; the slot alone not whether it has ended.

mod lock;
mod slot;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use sqlx::PgPool;
use tokio::time::Instant;

use self::lock::answered;
use crate::{
    Access, PoolSettings, StorageError,
    connection::{Kind, Session, from_micros, options, pool},
};

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
    /// Longest time that may pass between the slot's commit and the request, with a database nearby.
    pub slack: Duration,
    /// The same with a database as far away as can be: where an answer takes longer than `slack`, a slot is taken with more.
    pub max_slack: Duration,
    /// Cool-down after the first throttled answer; doubles with each further one.
    pub cooldown_base: Duration,
    /// Longest cool-down, and longest Retry-After that is believed.
    pub cooldown_cap: Duration,
    /// How the server lists the gate's connections.
    pub application_name: String,
}

/// What all processes at one gate have to agree on: the slowest and the most careful one would be no help beside another.
impl GateSettings {
    /// Milliseconds between two requests: what arXiv's terms of use ask for.
    pub const INTERVAL_MS: u64 = 3_000;
    /// A commit's way back, and a bit.
    pub const SLACK: Duration = Duration::from_millis(100);
    /// The way back from another continent, or on a busy day. It is lost at each change of the gate's server, so no more.
    pub const MAX_SLACK: Duration = Duration::from_secs(1);
    /// Milliseconds of the first cool-down.
    pub const COOLDOWN_BASE_MS: u64 = 10_000;
    /// Milliseconds of the longest cool-down.
    pub const COOLDOWN_CAP_MS: u64 = 15 * 60 * 1_000;

    /// The settings that are for arXiv.
    pub fn new(url: String, application_name: String) -> Self {
        Self {
            url,
            interval: Duration::from_millis(Self::INTERVAL_MS),
            slack: Self::SLACK,
            max_slack: Self::MAX_SLACK,
            cooldown_base: Duration::from_millis(Self::COOLDOWN_BASE_MS),
            cooldown_cap: Duration::from_millis(Self::COOLDOWN_CAP_MS),
            application_name,
        }
    }

    /// How far a slot is moved when it is taken: by the slack more than the interval, since the request may go out so
    /// much later. Without an interval there is nothing to keep, and nobody waits.
    fn slot_step(&self, slack: Duration) -> Duration {
        if self.interval.is_zero() {
            Duration::ZERO
        } else {
            self.interval + slack
        }
    }

    /// The slack for a database that takes so long to answer: its next answer may take twice as long.
    fn slack_for(&self, answer: Duration) -> Duration {
        (answer * 2).min(self.max_slack).max(self.slack)
    }
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
pub enum RequestOutcome {
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
pub struct Gate {
    settings: Arc<GateSettings>,
    lock: lock::LockConnection,
    watch: PgPool,
}

impl Gate {
    /// A gate that connects when first used; to be called within a tokio runtime.
    pub fn new(settings: GateSettings) -> Result<Self, StorageError> {
        let lock_options = options(&settings.url)?.application_name(&settings.application_name);
        let watch = PoolSettings {
            access: Access::ReadWrite,
            max_connections: 1,
            acquire_timeout: Duration::from_secs(5),
            statement_cache: true,
            application_name: settings.application_name.clone(),
        };
        let watch = pool(&settings.url, &watch)?;
        let lock = lock::LockConnection::new(lock_options, settings.interval);
        Ok(Self {
            settings: Arc::new(settings),
            lock,
            watch,
        })
    }

    /// Waits for the turn, at most `patience`: first within the process, then among all processes, in order.
    pub async fn acquire(&self, patience: Duration) -> Result<GateLease, GateError> {
        let held = self.lock.acquire(Instant::now() + patience).await?;
        // Whoever had the turn before may be farther from the database than we are.
        let longest = self.settings.slot_step(self.settings.max_slack);
        Ok(GateLease {
            slack: self.settings.slack_for(held.answer_took()),
            held,
            settings: Arc::clone(&self.settings),
            others_have_ended: Instant::now() + lock::LOSS_IS_NOTICED.max(longest),
            slot_taken: false,
        })
    }

    /// Reads the gate's row.
    pub async fn state(&self) -> Result<GateState, StorageError> {
        let (next_slot, cooldown_until, throttled) =
            Session::run(&self.watch, Kind::Statement, async |session| {
                let state = session.query_as::<(i64, Option<i64>, i32)>(
                    "select (extract(epoch from next_slot) * 1000000)::bigint,
                            (extract(epoch from cooldown_until) * 1000000)::bigint, throttled_in_a_row
                     from public.arxiv_gate",
                );
                Ok(state.fetch_one(session.conn()).await?)
            })
            .await?;
        Ok(GateState {
            next_slot: from_micros(next_slot)?,
            cooldown_until: cooldown_until.map(from_micros).transpose()?,
            throttled_in_a_row: u32::try_from(throttled).unwrap_or(0),
        })
    }
}

/// The right to be the only one with a connection to arXiv. Dropped: given up at once.
pub struct GateLease {
    held: lock::Held,
    settings: Arc<GateSettings>,
    /// How long the next slot is good for.
    slack: Duration,
    /// When a request of the turn before is over, and an interval since it began, should that have broken off.
    others_have_ended: Instant,
    slot_taken: bool,
}

impl GateLease {
    /// Waits for the next slot, at most `patience`, and takes it.
    ///
    /// A lock is free as soon as its connection breaks, but its holder takes a moment to notice and to drop its request.
    /// The row tells that such a request was open, and then its end is waited for as well; so it is on a server that was
    /// started since, as after a fail-over: its row may be an old one.
    pub async fn slot(&mut self, patience: Duration) -> Result<Slot, GateError> {
        let deadline = Instant::now() + patience;
        loop {
            // Counted from before the statement: whatever time its commit took is then on the safe side.
            let asked = Instant::now();
            let fresh_until = asked + self.slack;
            let open_is_ours = self.slot_taken || self.others_have_ended <= asked;
            let take = slot::take(self.held.session(), &self.settings, self.slack, open_is_ours);
            if answered(take).await? {
                self.slot_taken = true;
                // Should this one be too old already, the next one is good for longer.
                self.slack = self.slack.max(self.settings.slack_for(asked.elapsed()));
                return Ok(Slot { fresh_until });
            }
            let ahead = answered(slot::ahead(self.held.session())).await?;
            let ahead = ahead.ok_or(StorageError::Unreadable)?;
            let left = deadline.saturating_duration_since(Instant::now());
            if let Some(until) = ahead.until
                && ahead.cooldown > left
            {
                return Err(GateError::CoolingDown {
                    until,
                    retry_after: ahead.cooldown,
                });
            }
            let others = self.others_have_ended.saturating_duration_since(Instant::now());
            let others = if ahead.open && !self.slot_taken {
                others
            } else {
                Duration::ZERO
            };
            let wait = ahead.slot.max(ahead.cooldown).max(others);
            if wait > left {
                return Err(GateError::Busy { retry_after: wait });
            }
            // A lost lock ends the wait: somebody else's turn may have begun.
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

    /// After the request, its connection closed: tells how it went, moves the slot again, ends the turn. Gives the end of
    /// the cool-down if one is on.
    pub async fn finish(mut self, outcome: RequestOutcome) -> Result<Option<Timestamp>, StorageError> {
        let until = answered(slot::settle(self.held.session(), &self.settings, outcome)).await?;
        self.held.release().await;
        until.map(from_micros).transpose()
    }

    /// Ends the turn without a request.
    pub async fn release(mut self) {
        // Should it fail, the next turn waits a little for nothing.
        if self.slot_taken && answered(slot::give_up(self.held.session())).await.is_err() {
            return;
        }
        self.held.release().await;
    }
}

/// A slot, committed: one request may go out while it is fresh.
#[derive(Debug)]
pub struct Slot {
    fresh_until: Instant,
}

impl Slot {
    /// False once more than the slack passed: take another slot.
    pub fn is_fresh(&self) -> bool {
        Instant::now() < self.fresh_until
    }
}
