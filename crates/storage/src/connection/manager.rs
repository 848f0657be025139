//! How the connections of a pool are made, and whether one can be used again.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Mutex, PoisonError},
    task::Poll,
    time::{Duration, Instant},
};

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use sqlx::{Connection, PgConnection};

use super::{
    connector::Connector,
    pool::{PROBE_TIMEOUT, with_timeout},
};

/// A connection for reads that was used less than this ago is not tested: that takes as long as a short read.
const RECENT: Duration = Duration::from_secs(1);
/// The same for a connection for writes. One that is used again so soon is like one that an operation uses all the time: if its server
/// hangs, that operation waits out its time limit, and the others are found out by a test.
const RECENT_OF_WRITER: Duration = Duration::from_millis(50);
/// Connections are renewed, so that a fail-over or a new address is noticed without any error too.
const MAX_LIFETIME: Duration = Duration::from_mins(15);
/// At five hashes of 4,096 for each, a login gives way to other tasks four times.
const POLLS_OF_LOGIN: usize = 200;

/// Makes and tests the connections of one pool.
pub struct Manager {
    pub(super) connector: Connector,
    is_writer: bool,
    /// When a connection was found to lead to a server that hangs or no longer writes. Older connections lead there as well,
    /// and are closed without waiting for each of them.
    suspect: LastTime,
}

impl Manager {
    pub(super) fn new(connector: Connector, is_writer: bool) -> Self {
        Self {
            connector,
            is_writer,
            suspect: LastTime::default(),
        }
    }

    /// Whether a connection still leads to a server that can be used.
    async fn test(&self, connection: &mut PgConnection, metrics: &Metrics) -> Result<(), sqlx::Error> {
        let used = metrics.recycled.unwrap_or(metrics.created);
        let recent = if self.is_writer { RECENT_OF_WRITER } else { RECENT };
        if used.elapsed() < recent && !BROKE_AT.is_since(used) {
            return Ok(());
        }
        let now = Instant::now();
        let probed = probe(connection, self.is_writer).await;
        if probed.as_ref().is_err_and(is_about_server) {
            self.suspect.mark(now);
        }
        probed
    }
}

impl managed::Manager for Manager {
    type Type = PgConnection;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<PgConnection, sqlx::Error> {
        // Boxed, as it is large, and part of the future of every operation.
        let mut connection = login(Box::pin(self.connector.connect())).await?;
        probe(&mut connection, self.is_writer).await?;
        Ok(connection)
    }

    async fn recycle(&self, connection: &mut PgConnection, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        // One whose password is being changed may not be replaced soon.
        let is_old = metrics.age() > MAX_LIFETIME && !self.connector.is_refused();
        if is_old || self.suspect.is_since(metrics.created) {
            return Err(RecycleError::message("it is too old"));
        }
        Ok(self.test(connection, metrics).await?)
    }
}

/// A login that is polled again at once. sqlx yields after every five of the thousands of hashes of a login, and each time all
/// other tasks run first: in a process with no CPU time left, it would never end within its time limit. All polls together
/// take less than a millisecond.
async fn login<T>(connecting: impl Future<Output = T>) -> T {
    let mut connecting = pin!(connecting);
    poll_fn(|context| {
        let mut polls = (0..POLLS_OF_LOGIN).map(|_| connecting.as_mut().poll(context));
        polls.find(Poll::is_ready).unwrap_or(Poll::Pending)
    })
    .await
}

/// When something was noticed last.
#[derive(Default)]
struct LastTime(Mutex<Option<Instant>>);

impl LastTime {
    fn mark(&self, at: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    /// Whether it was noticed since then.
    fn is_since(&self, then: Instant) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| then <= last)
    }
}

/// When a connection broke last, or led to a server that refuses writes, in any pool.
static BROKE_AT: LastTime = LastTime(Mutex::new(None));

/// Other connections may have broken for the same reason, or lead to the same server: each is probed before its next use, however
/// recently it was used.
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
