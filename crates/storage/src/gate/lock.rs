//! The gate's lock: a session advisory lock on a connection of its own.
//!
//! The lock exists as long as its session: a holder that is killed frees it at once; a holder that is paused keeps it, so that no
//! other process sends requests. The connection is kept for the next lease, without the lock.

use std::{sync::Arc, time::Duration};

use sqlx::{Connection, PgConnection};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::{Instant, timeout_at},
};

use super::{GateError, LOCK_OUTLIVES_HOST};
use crate::{
    StorageError,
    connection::{Address, Connector, session_settings, with_timeout},
};

/// The lock's key in the space of two integers ("arxi", "gate").
const KEY: (i32, i32) = (0x6172_7869, 0x6761_7465);
/// Any statement but the wait for the lock; also how long a hanging connection goes unnoticed, which is much less than the
/// server takes to free the lock of a machine that disappeared.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
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
    interval: Duration,
    connection: Arc<Mutex<Option<PgConnection>>>,
}

impl LockConnection {
    pub(super) fn new(
        address: Address,
        application_name: &str,
        interval: Duration,
    ) -> Result<Self, StorageError> {
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
        Ok(Self {
            connector: Arc::new(Connector::new(address, application_name, true, &settings)?),
            interval,
            connection: Arc::default(),
        })
    }

    /// Waits for the lock, at most until `deadline`.
    pub(super) async fn acquire(&self, deadline: Instant) -> Result<Held, GateError> {
        let busy = || GateError::Busy {
            retry_after: self.interval * LEASES_TO_WAIT,
        };
        let home = Arc::clone(&self.connection).lock_owned();
        let mut home = timeout_at(deadline, home).await.map_err(|_| busy())?;
        // Taken out while in use: a cancelled caller drops it, and with it its place in the server's queue.
        let usable = match home.take() {
            Some(connection) => limited(connection, deadline).await.ok(),
            None => None,
        };
        let (mut connection, answer_took) = match usable {
            Some(usable) => usable,
            None => limited(self.connect().await?, deadline).await?,
        };
        match wait(&mut connection, deadline).await {
            Ok(true) => Ok(Held {
                connection,
                home,
                answer_took,
            }),
            Ok(false) => {
                *home = Some(connection);
                Err(busy())
            }
            Err(error) => Err(error.into()),
        }
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

/// A connection, one from the lease before if it still works, with the limit of its wait; and how long the server took to answer.
async fn limited(
    mut connection: PgConnection,
    deadline: Instant,
) -> Result<(PgConnection, Duration), StorageError> {
    let asked = Instant::now();
    let limit = sqlx::query("select set_config('lock_timeout', $1, false)")
        .bind(time_left(deadline).as_millis().to_string());
    answered(limit.execute(&mut connection)).await?;
    Ok((connection, asked.elapsed()))
}

/// At least 1 ms: 0 would mean no limit.
fn time_left(deadline: Instant) -> Duration {
    deadline
        .saturating_duration_since(Instant::now())
        .max(Duration::from_millis(1))
}

/// Whether the lock was acquired before the deadline.
async fn wait(connection: &mut PgConnection, deadline: Instant) -> Result<bool, StorageError> {
    let lock = sqlx::query("select pg_advisory_lock($1, $2)")
        .bind(KEY.0)
        .bind(KEY.1);
    match with_timeout(time_left(deadline) + ANSWER_TIMEOUT, lock.execute(connection)).await {
        Ok(_) => Ok(true),
        Err(error) => match StorageError::from(error) {
            error if error.sqlstate().as_deref() == Some("55P03") => Ok(false),
            error => Err(error),
        },
    }
}

/// The lock, held. Dropped, the connection is closed and the lock free.
pub(super) struct Held {
    connection: PgConnection,
    home: OwnedMutexGuard<Option<PgConnection>>,
    /// How distant the server is: how long it took to answer at the start of this lease.
    pub(super) answer_took: Duration,
}

impl Held {
    /// The lock's session: when a statement on it succeeds, the lock was held.
    pub(super) fn session(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// Resolves when the session is lost or does not answer.
    pub(super) async fn lost(&mut self) -> StorageError {
        loop {
            tokio::time::sleep(POLL).await;
            if let Err(error) = with_timeout(ANSWER_TIMEOUT, self.connection.ping()).await {
                return error.into();
            }
        }
    }

    /// Frees the lock and keeps the connection for the next lease; closes it if that fails.
    pub(super) async fn release(mut self) {
        let unlock = sqlx::query_scalar::<_, bool>("select pg_advisory_unlock($1, $2)")
            .bind(KEY.0)
            .bind(KEY.1);
        match with_timeout(ANSWER_TIMEOUT, unlock.fetch_one(&mut self.connection)).await {
            Ok(true) => *self.home = Some(self.connection),
            Ok(false) => tracing::warn!("the upstream gate's lock was not held at its release"),
            Err(error) => {
                let error = &StorageError::from(error) as &dyn std::error::Error;
                tracing::warn!(error, "the upstream gate's connection is closed");
            }
        }
    }
}
