//! The gate's lock: a session advisory lock on a connection of its own.
//!
//! The lock exists as long as its session: a holder that is killed frees it at once; a holder that is paused keeps it, so that no
//! other process sends requests. The connection is kept for the next lease, without the lock.

use std::{sync::Arc, time::Duration};

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, postgres::PgRow};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::{Instant, timeout_at},
};

use super::{
    GateError, GateSettings, LOCK_OUTLIVES_HOST,
    slot::{STATE, State},
};
use crate::{
    StorageError,
    connection::{Connector, KEY_SETTINGS, session_settings, with_timeout},
};

/// The lock's key in the space of two integers ("arxi", "gate").
const KEY: (i32, i32) = (0x6172_7869, 0x6761_7465);
/// Any statement but the wait for the lock; also how long a hanging connection goes unnoticed, which is much less than the
/// server takes to free the lock of a machine that disappeared.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection that was used within this time is not tested before its next use.
const WORKS_FOR: Duration = Duration::from_millis(50);
/// How often a held lock's connection is tested.
const POLL: Duration = Duration::from_millis(250);
/// How long a holder whose connection broke may continue without knowing: by then it has dropped its request. The server frees
/// its lock before that.
pub(super) const LOSS_IS_NOTICED: Duration = POLL.saturating_add(ANSWER_TIMEOUT).saturating_add(POLL);
/// The Retry-After for callers that gave up waiting in the queue: its length is not known, so about two leases.
const LEASES_TO_WAIT: u32 = 2;

/// The process' one connection for the lock; its mutex is fair, so waiters within the process queue in order.
#[derive(Clone)]
pub(super) struct LockConnection {
    connector: Arc<Connector>,
    settings: Arc<GateSettings>,
    connection: Arc<Mutex<Option<Kept>>>,
}

/// The connection between two leases.
struct Kept {
    connection: PgConnection,
    /// How long the server took to answer.
    answer_took: Duration,
    used: Instant,
}

impl LockConnection {
    pub(super) fn new(gate: &Arc<GateSettings>) -> Result<Self, StorageError> {
        // Three probes in the last third: found dead at the end of LOCK_OUTLIVES_HOST, be it idle or with an answer unacknowledged.
        let mut settings = session_settings(ANSWER_TIMEOUT).to_vec();
        settings.retain(|(name, _)| !name.starts_with("tcp_") && *name != "statement_timeout");
        let third = LOCK_OUTLIVES_HOST / 3;
        settings.extend([
            ("statement_timeout", "0".into()),
            ("tcp_keepalives_idle", (third * 2).as_secs().to_string()),
            ("tcp_keepalives_interval", (third / 3).as_secs().to_string()),
            ("tcp_keepalives_count", "3".into()),
            ("tcp_user_timeout", LOCK_OUTLIVES_HOST.as_millis().to_string()),
            // A waiter whose client is gone leaves the queue instead of getting the lock in vain.
            ("client_connection_check_interval", "1000".into()),
        ]);
        settings.extend(KEY_SETTINGS.map(|(name, value)| (name, value.to_owned())));
        let (address, name) = (gate.address.clone(), &gate.application_name);
        Ok(Self {
            connector: Arc::new(Connector::new(address, name, true, &settings)?),
            settings: Arc::clone(gate),
            connection: Arc::default(),
        })
    }

    /// Waits for the lock, at most until `deadline`.
    pub(super) async fn acquire(&self, deadline: Instant) -> Result<Held, GateError> {
        let busy = || GateError::Busy {
            retry_after: self.settings.interval * LEASES_TO_WAIT,
        };
        let home = Arc::clone(&self.connection).lock_owned();
        let mut home = timeout_at(deadline, home).await.map_err(|_| busy())?;
        // Taken out while in use: a cancelled caller drops it, and with it its place in the server's queue.
        let mut idle = home.take();
        loop {
            let (mut kept, is_tested) = match idle.take() {
                Some(kept) if kept.used.elapsed() < WORKS_FOR => (kept, false),
                Some(kept) => match tested(kept.connection).await {
                    Ok(kept) => (kept, true),
                    Err(_) => continue,
                },
                None => (tested(self.connect().await?).await?, true),
            };
            match self.wait(&mut kept.connection, deadline).await {
                Ok(Some(state)) => return Ok(Held { kept, home, state }),
                Ok(None) => {
                    *home = Some(kept);
                    return Err(busy());
                }
                // It broke since its last use.
                Err(error) if !is_tested && error.is_unavailable() => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits for the lock; the gate's row then, or nothing at the deadline.
    async fn wait(
        &self,
        connection: &mut PgConnection,
        deadline: Instant,
    ) -> Result<Option<State>, StorageError> {
        let left = deadline.saturating_duration_since(Instant::now());
        // 0 would mean no limit. It is set before the lock is asked for: a select list is evaluated from left to right.
        let message = format!(
            "select set_config('lock_timeout', '{}', false), pg_advisory_lock({}, {}); {STATE}",
            left.as_millis() + 1,
            KEY.0,
            KEY.1
        );
        let message = sqlx::raw_sql(AssertSqlSafe(message)).fetch_all(connection);
        let rows = match with_timeout(left + ANSWER_TIMEOUT, message)
            .await
            .map_err(StorageError::from)
        {
            Err(error) if error.sqlstate().as_deref() == Some("55P03") => return Ok(None),
            rows => rows?,
        };
        let row = rows.last().ok_or(StorageError::Unreadable)?;
        Ok(Some(State::of(row, &self.settings)?))
    }

    async fn connect(&self) -> Result<PgConnection, StorageError> {
        Ok(with_timeout(CONNECT_TIMEOUT, self.connector.connect()).await?)
    }
}

/// A statement on the lock's session, in bounded time.
pub(super) async fn answered<T>(
    statement: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, StorageError> {
    Ok(with_timeout(ANSWER_TIMEOUT, statement).await?)
}

/// A connection that works, and how long the server takes to answer.
async fn tested(mut connection: PgConnection) -> Result<Kept, StorageError> {
    let asked = Instant::now();
    answered(connection.ping()).await?;
    Ok(Kept {
        connection,
        answer_took: asked.elapsed(),
        used: Instant::now(),
    })
}

/// The lock, held. Dropped, the connection is closed and the lock free.
pub(super) struct Held {
    kept: Kept,
    home: OwnedMutexGuard<Option<Kept>>,
    /// The gate's row when the lock was acquired.
    pub(super) state: State,
}

impl Held {
    /// How distant the server is.
    pub(super) fn answer_took(&self) -> Duration {
        self.kept.answer_took
    }

    /// The lock's session: when a statement on it succeeds, the lock was held.
    pub(super) fn session(&mut self) -> &mut PgConnection {
        &mut self.kept.connection
    }

    /// Resolves when the session is lost or does not answer.
    pub(super) async fn lost(&mut self) -> StorageError {
        loop {
            tokio::time::sleep(POLL).await;
            if let Err(error) = with_timeout(ANSWER_TIMEOUT, self.kept.connection.ping()).await {
                return error.into();
            }
        }
    }

    /// Executes these statements, which have to be committed at their end, and then frees the lock, in one message. The connection is
    /// kept for the next lease, or closed if that fails. Returns the first row.
    pub(super) async fn release(mut self, statements: &str) -> Result<PgRow, StorageError> {
        let asked = Instant::now();
        let message = format!("{statements} select pg_advisory_unlock({}, {})", KEY.0, KEY.1);
        let message = sqlx::raw_sql(AssertSqlSafe(message)).fetch_all(&mut self.kept.connection);
        let mut rows = answered(message).await?;
        let unlocked = rows.last().ok_or(StorageError::Unreadable)?.try_get(0)?;
        if unlocked {
            self.kept.used = Instant::now();
            self.kept.answer_took = self.kept.used - asked;
            *self.home = Some(self.kept);
        } else {
            tracing::warn!("the upstream gate's lock was not held at its release");
        }
        Ok(rows.swap_remove(0))
    }
}
