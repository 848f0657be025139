//! Pools: connections bounded in number, in time and in age.

use std::{
    fmt,
    io::{
        self,
        ErrorKind::{ConnectionRefused, ReadOnlyFilesystem},
    },
    str::FromStr,
    time::Duration,
};

use deadpool::managed::{self, Object, PoolError, QueueMode, WeakPool};
use futures::FutureExt;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    connector::{Address, Connector, is_wrong_password},
    manager::{Manager, report_broken_connection},
    timing,
};
use crate::{StorageError, error::sqlstate};

/// What the server allows one statement: far above what any of ours needs with its index.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);
/// What one whole operation may take: the waits for a connection and for a few statements. Limits how long a server that
/// disappeared (no answer at all, so no error either) can hold up callers.
pub(super) const OPERATION_TIMEOUT: Duration = Duration::from_secs(30);
/// The test of a connection.
pub(super) const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection that was not used for so long is closed.
const IDLE_TIMEOUT: Duration = Duration::from_mins(5);
/// Between two attempts to connect to a server that starts.
const CONNECT_PAUSE: Duration = Duration::from_millis(100);
/// Between two attempts to log in with a password that is refused: each costs the server a few milliseconds.
const LOGIN_PAUSE: Duration = Duration::from_millis(250);
/// For reads, each of which has an index: the planner shall not prefer a whole table, nor compile or parallelise a plan.
pub(super) const INDEX_SETTINGS: [(&str, &str); 3] = [
    ("enable_seqscan", "off"),
    ("jit", "off"),
    ("max_parallel_workers_per_gather", "0"),
];

/// For statements that find rows by key: each is planned once for a connection, as that takes longer than to find the rows. The plan
/// shall not be one for a table that was small then, nor be compiled.
pub(crate) const KEY_SETTINGS: [(&str, &str); 3] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("jit", "off"),
];

/// What a pool's connections are for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// Connections that turn out to be to a read-only server (a replica, a demoted primary) are closed.
    ReadWrite,
    /// The same for statements that find rows by key, whose plans do not depend on their parameters.
    ReadWriteByKey,
    /// Any server of the cluster will do.
    ReadOnly,
}

/// Settings of one pool.
#[derive(Clone, Debug)]
pub struct PoolSettings {
    /// What its connections are for.
    pub access: Access,
    /// Most connections at once.
    pub max_connections: u32,
    /// How long one operation waits for a connection, the time to connect included.
    pub acquire_timeout: Duration,
    /// Whether statements are prepared once per connection; off behind a transaction pooler.
    pub statement_cache: bool,
    /// How the server lists these connections (`pg_stat_activity.application_name`).
    pub application_name: String,
}

/// A connection out of a pool, to which it goes back when it is dropped.
pub(super) type Connection = Object<Manager>;

/// Connections to one database, bounded in number, in time and in age.
#[derive(Clone)]
pub struct Pool {
    connections: managed::Pool<Manager>,
    acquire_timeout: Duration,
    /// Whether statements are prepared once per connection.
    pub(super) statement_cache: bool,
    /// Whether the planner prefers indexes in every session.
    pub(super) prefers_indexes: bool,
}

impl fmt::Debug for Pool {
    /// Without the options, which have the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

impl Pool {
    /// A pool for a `postgresql://` URL that connects when first used; to be opened within a tokio runtime. Fails if the
    /// URL cannot be used.
    pub fn open(address: impl Into<Address>, settings: &PoolSettings) -> Result<Self, StorageError> {
        let prefers_indexes = settings.statement_cache && settings.access == Access::ReadOnly;
        let mut of_session = Vec::new();
        if settings.statement_cache {
            of_session.extend(session_settings(STATEMENT_TIMEOUT));
            let of_access: &[_] = match settings.access {
                Access::ReadOnly => &INDEX_SETTINGS,
                Access::ReadWrite => &[],
                Access::ReadWriteByKey => &KEY_SETTINGS,
            };
            of_session.extend(of_access.iter().map(|(name, value)| (*name, (*value).to_owned())));
        }
        let (name, cache) = (&settings.application_name, settings.statement_cache);
        let connector = Connector::new(address.into(), name, cache, &of_session)?;
        let manager = Manager::new(connector, settings.access != Access::ReadOnly);
        let connections = managed::Pool::builder(manager)
            .max_size(usize::try_from(settings.max_connections).unwrap_or(usize::MAX))
            // The one that was used last needs no test, and those that are not needed can be closed.
            .queue_mode(QueueMode::Lifo)
            .build()
            .map_err(|_| StorageError::Url("its pool has no runtime"))?;
        tokio::spawn(close_unused(connections.weak()));
        Ok(Self {
            connections,
            acquire_timeout: settings.acquire_timeout,
            statement_cache: settings.statement_cache,
            prefers_indexes,
        })
    }

    /// The idle connections, and those in use.
    pub fn counts(&self) -> (usize, usize) {
        let status = self.connections.status();
        (status.available, status.size.saturating_sub(status.available))
    }

    /// A connection, within the time limit. A server that starts is waited for; if it does not start in time, the error is
    /// its last answer.
    pub async fn acquire(&self) -> Result<Connection, sqlx::Error> {
        let deadline = Instant::now() + self.acquire_timeout;
        let mut last_answer = sqlx::Error::PoolTimedOut;
        loop {
            let Ok(acquired) = timeout_at(deadline, self.connections.get()).await else {
                return Err(last_answer);
            };
            let error = match acquired {
                Ok(connection) => return Ok(connection),
                Err(PoolError::Backend(error)) => error,
                // The others are of hooks and time limits that this pool does not have.
                Err(_) => return Err(sqlx::Error::PoolClosed),
            };
            let pause = if is_starting(&error) {
                CONNECT_PAUSE
            } else if is_wrong_password(&error) && Instant::now() < deadline - self.acquire_timeout / 2 {
                // Meanwhile one of the sessions that exist may be free, or the new password known.
                LOGIN_PAUSE
            } else {
                return Err(error);
            };
            if Instant::now() + pause >= deadline {
                return Err(error);
            }
            last_answer = error;
            sleep(pause).await;
        }
    }
}

/// Whether a server that gives no connection may give one soon: nothing listens, it starts (57P03), has too many (53300), or is a
/// replica that may be promoted.
pub(super) fn is_starting(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => matches!(error.kind(), ConnectionRefused | ReadOnlyFilesystem),
        error => matches!(sqlstate(error).as_deref(), Some("57P03" | "53300")),
    }
}

/// Closes connections that were not used for a while, as long as the pool exists.
async fn close_unused(pool: WeakPool<Manager>) {
    loop {
        sleep(IDLE_TIMEOUT / 5).await;
        let Some(pool) = pool.upgrade() else { return };
        if pool.manager().connector.is_refused() {
            continue;
        }
        let closed = pool.retain(|_, metrics| metrics.last_used() < IDLE_TIMEOUT);
        for connection in closed.removed {
            // The server gets a message that the session ends, but nothing depends on it.
            let _ = with_timeout(PROBE_TIMEOUT, connection.close()).await;
        }
    }
}

/// Parses a normalised URL. The environment's `PG…` variables only supply what the URL leaves out.
pub(crate) fn options(url: &str) -> Result<PgConnectOptions, StorageError> {
    if !url.starts_with("postgresql://") {
        return Err(StorageError::Url("it has to begin with postgresql://"));
    }
    let options = PgConnectOptions::from_str(url).map_err(|_| StorageError::Url("it is not a valid URL"))?;
    if options.get_database().is_none() {
        return Err(StorageError::Url("it names no database"));
    }
    Ok(options.disable_statement_logging())
}

/// Settings that every session of ours has. The server's keepalives end sessions of machines that disappeared
/// (after 30 s + 3 × 10 s), and with them their transactions and locks; sqlx cannot set the client's.
pub(crate) fn session_settings(statement_timeout: Duration) -> [(&'static str, String); 6] {
    [
        ("statement_timeout", statement_timeout.as_millis().to_string()),
        ("lock_timeout", statement_timeout.as_millis().to_string()),
        (
            "idle_in_transaction_session_timeout",
            OPERATION_TIMEOUT.as_millis().to_string(),
        ),
        ("tcp_keepalives_idle", "30".into()),
        ("tcp_keepalives_interval", "10".into()),
        ("tcp_keepalives_count", "3".into()),
    ]
}

/// A connection of its own, with these settings. They are set by statements: a pooler refuses start-up parameters that it does not
/// know.
pub(crate) async fn connect(options: PgConnectOptions, settings: &str) -> Result<PgConnection, sqlx::Error> {
    let mut connection = options.extra_float_digits(None).connect().await?;
    if !settings.is_empty() {
        let settings = sqlx::raw_sql(AssertSqlSafe(settings.to_owned()));
        settings.execute(&mut connection).await?;
    }
    Ok(connection)
}

/// The statements that make these settings.
pub(crate) fn set(settings: &[(&str, String)]) -> String {
    let statements = settings
        .iter()
        .map(|(name, value)| format!("set {name} = '{value}';"));
    statements.collect()
}

/// A whole operation in bounded time. At the limit it is dropped, and its connection is tested, rolled back or closed. No
/// async function, as that would hold the operation's large future twice.
pub(crate) fn bounded<T>(
    operation: impl Future<Output = Result<T, StorageError>>,
) -> impl Future<Output = Result<T, StorageError>> {
    bounded_with(Duration::ZERO, operation)
}

/// The same for an operation that may take so much longer.
pub(crate) fn bounded_with<T>(
    more: Duration,
    operation: impl Future<Output = Result<T, StorageError>>,
) -> impl Future<Output = Result<T, StorageError>> {
    let started = Instant::now();
    let limited = tokio::time::timeout(OPERATION_TIMEOUT.saturating_add(more), operation);
    limited.map(move |done| {
        let done = done.unwrap_or(Err(StorageError::TimedOut));
        if done.as_ref().is_err_and(StorageError::is_about_connection) {
            report_broken_connection();
        }
        timing::observe(&done, started.elapsed());
        done
    })
}

/// One step on a connection in bounded time.
pub(crate) fn with_timeout<T>(
    limit: Duration,
    step: impl Future<Output = Result<T, sqlx::Error>>,
) -> impl Future<Output = Result<T, sqlx::Error>> {
    let limited = tokio::time::timeout(limit, step);
    limited.map(|done| done.unwrap_or_else(|_| Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pool_url_is_accepted_only_when_normalised() {
        for (url, usable) in [
            ("postgresql://u:p@h:5432/d", true),
            ("postgresql://u@h/d?sslmode=require", true),
            ("postgres://u:p@h/d", false),
            ("postgresql+asyncpg://u:p@h/d", false),
            ("host=h user=u", false),
            ("postgresql://u:p@h:port/d", false),
            ("", false),
        ] {
            let parsed = options(url);
            assert_eq!(parsed.is_ok(), usable, "{url}");
            if let Err(error) = parsed {
                assert!(
                    !format!("{error} {error:?}").contains("p@h"),
                    "shows the URL: {error:?}"
                );
            }
        }
    }
}
