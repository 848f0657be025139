//! Pools: connections bounded in number, in time and in age.

use std::{
    future::poll_fn,
    pin::pin,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::{Duration, Instant},
};

use futures::FutureExt;
use sqlx::{
    ConnectOptions, Connection, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::StorageError;

/// What the server allows one statement: far above what any of ours needs with its index.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);
/// What one whole operation may take: the waits for a connection and for a few statements. Limits how long a server that
/// disappeared (no answer at all, so no error either) can hold up callers.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection for reads that was tested on its release less than this ago is not tested once more: that takes as long as a short
/// read.
const RECENT: Duration = Duration::from_secs(1);
/// The test of a connection that is acquired or released.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// Connections are renewed, so that a fail-over or a new address is noticed without any error too.
const MAX_LIFETIME: Duration = Duration::from_mins(15);
const IDLE_TIMEOUT: Duration = Duration::from_mins(5);
/// At five hashes of 4,096 for each, a login gives way to other tasks four times.
const POLLS_OF_LOGIN: usize = 200;

/// For reads, each of which has an index: the planner shall not prefer a whole table, nor compile or parallelise a plan.
pub(super) const INDEX_SETTINGS: [(&str, &str); 3] = [
    ("enable_seqscan", "off"),
    ("jit", "off"),
    ("max_parallel_workers_per_gather", "0"),
];

/// What a pool's connections are for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// Connections that turn out to be to a read-only server (a replica, a demoted primary) are closed.
    ReadWrite,
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

/// A pool for `url` that connects when first used; to be called within a tokio runtime.
pub fn pool(url: &str, settings: &PoolSettings) -> Result<PgPool, StorageError> {
    let mut options = options(url)?.application_name(&settings.application_name);
    if settings.statement_cache {
        options = options.options(session_settings(STATEMENT_TIMEOUT));
        if settings.access == Access::ReadOnly {
            options = options.options(INDEX_SETTINGS);
        }
    } else {
        // Poolers refuse start-up parameters that they don't know.
        options = options.statement_cache_capacity(0).extra_float_digits(None);
    }
    let is_writer = settings.access == Access::ReadWrite;
    // When a connection was found to lead to a server that hangs or no longer writes. Older connections lead there as well, and
    // are closed without waiting for each of them.
    let suspect = Arc::new(LastTime::default());
    Ok(PgPoolOptions::new()
        .max_connections(settings.max_connections)
        .acquire_timeout(settings.acquire_timeout)
        .max_lifetime(MAX_LIFETIME)
        .idle_timeout(IDLE_TIMEOUT)
        // The probe below does this and more in the same one round trip.
        .test_before_acquire(false)
        .after_connect(move |connection, _| Box::pin(probe(connection, is_writer)))
        .before_acquire(move |connection, made| {
            let suspect = Arc::clone(&suspect);
            Box::pin(async move {
                let now = Instant::now();
                if suspect.is_since(now.checked_sub(made.age)) {
                    return Ok(false);
                }
                if !is_writer && made.idle_for < RECENT && !BROKE_AT.is_since(now.checked_sub(made.idle_for))
                {
                    return Ok(true);
                }
                let probed = probe(connection, is_writer).await;
                if probed.as_ref().is_err_and(is_about_server) {
                    suspect.mark(now);
                }
                probed.map(|()| true)
            })
        })
        // sqlx's own test on release has no time limit.
        .after_release(|connection, _| {
            Box::pin(async move {
                with_timeout(PROBE_TIMEOUT, connection.ping())
                    .await
                    .map(|()| true)
            })
        })
        .connect_lazy_with(options))
}

/// When something was noticed last.
#[derive(Default)]
struct LastTime(Mutex<Option<Instant>>);

impl LastTime {
    fn mark(&self, at: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    /// Whether it was noticed since then, or perhaps so.
    fn is_since(&self, then: Option<Instant>) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| then.is_none_or(|then| then <= last))
    }
}

/// When the connection of a read broke last, in any pool.
static BROKE_AT: LastTime = LastTime(Mutex::new(None));

/// Idle connections may have broken for the same reason: each is probed before its next use, however recently it was tested.
pub(super) fn report_broken_connection() {
    BROKE_AT.mark(Instant::now());
}

/// Whether a failed probe says something about its server, and not about its connection alone.
fn is_about_server(error: &sqlx::Error) -> bool {
    use std::io::ErrorKind::{ReadOnlyFilesystem, TimedOut};
    matches!(error, sqlx::Error::Io(error) if matches!(error.kind(), ReadOnlyFilesystem | TimedOut))
}

/// Fails unless the connection answers, and for a writer: unless its server accepts writes.
async fn probe(connection: &mut PgConnection, is_writer: bool) -> Result<(), sqlx::Error> {
    if !is_writer {
        return with_timeout(PROBE_TIMEOUT, connection.ping()).await;
    }
    // The simple protocol: works behind poolers, needs no prepared statement.
    let row = with_timeout(
        PROBE_TIMEOUT,
        sqlx::raw_sql("show transaction_read_only").fetch_one(connection),
    )
    .await?;
    match sqlx::Row::try_get::<&str, _>(&row, 0)? {
        "off" => Ok(()),
        _ => Err(sqlx::Error::Io(std::io::Error::new(
            std::io::ErrorKind::ReadOnlyFilesystem,
            "the server is read-only",
        ))),
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

/// A whole operation in bounded time. At the limit it is dropped, and the pool tests, rolls back or closes its connection. No
/// async function, as that would hold the operation's large future twice.
pub(crate) fn bounded<T>(
    operation: impl Future<Output = Result<T, StorageError>>,
) -> impl Future<Output = Result<T, StorageError>> {
    let limited = tokio::time::timeout(OPERATION_TIMEOUT, operation);
    limited.map(|done| done.unwrap_or(Err(StorageError::TimedOut)))
}

/// A connection of a pool that may have to log in for it. sqlx yields after every five of the thousands of hashes of a login, and
/// each time all other tasks run first: in a process with no CPU time left, a login would never end within its time limit. So it
/// is polled again at once, which takes less than a millisecond.
pub(super) async fn login<T>(pool: &PgPool, acquired: impl Future<Output = T>) -> T {
    let logs_in = pool.num_idle() == 0 && pool.size() < pool.options().get_max_connections();
    let polls = if logs_in { POLLS_OF_LOGIN } else { 1 };
    let mut acquired = pin!(acquired);
    poll_fn(|context| {
        let mut polls = (0..polls).map(|_| acquired.as_mut().poll(context));
        polls.find(Poll::is_ready).unwrap_or(Poll::Pending)
    })
    .await
}

/// One step on a connection in bounded time.
pub(crate) fn with_timeout<T>(
    limit: Duration,
    step: impl Future<Output = Result<T, sqlx::Error>>,
) -> impl Future<Output = Result<T, sqlx::Error>> {
    let limited = tokio::time::timeout(limit, step);
    limited.map(|done| done.unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))))
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
