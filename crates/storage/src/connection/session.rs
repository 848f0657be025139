//! The session of one operation: a connection for a single statement, or a transaction.

use deadpool::managed::Object;
use jiff::Timestamp;
use scopeguard::ScopeGuard;
use sqlx::{
    AssertSqlSafe, Connection as _, Decode, FromRow, PgConnection, Postgres, QueryBuilder, Type,
    postgres::{PgArguments, PgRow},
    query::{Query, QueryAs, QueryScalar},
};
use tracing::{dispatcher::Dispatch, instrument::WithSubscriber};

use super::{
    from_micros,
    locks::{self, Lock},
    pool::{
        Connection, INDEX_SETTINGS, KEY_SETTINGS, PROBE_TIMEOUT, Pool, bounded, is_starting, with_timeout,
    },
};
use crate::StorageError;

/// A replica cancels a read that its recovery conflicts with, and a connection may have broken while it was idle; the next try
/// usually meets neither.
const RETRIES: u32 = 2;

/// What an operation needs of its connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// A single statement.
    Statement,
    /// A single statement that has to use indexes, whatever the planner takes for cheap.
    Indexed,
    /// Several statements, all or none.
    Transaction,
}

/// A connection out of a pool, for one operation. Dropped without [`Session::commit`], a transaction is rolled back.
pub(crate) struct Session {
    /// Dropped, it is ended on its own, as its state is not known.
    connection: ScopeGuard<Connection, fn(Connection)>,
    in_transaction: bool,
    is_persistent: bool,
}

impl Session {
    /// A whole operation in bounded time: `work`, and then the commit. After an error nothing of it is kept.
    pub(crate) async fn run<T>(
        pool: &Pool,
        kind: Kind,
        work: impl AsyncFnOnce(&mut Self) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        bounded(Self::work(pool, kind, &[], work)).await
    }

    /// The same for a transaction that begins with these locks, in this order.
    pub(crate) async fn run_locked<T>(
        pool: &Pool,
        locks: &[Lock],
        work: impl AsyncFnOnce(&mut Self) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        bounded(Self::work(pool, Kind::Transaction, locks, work)).await
    }

    async fn work<T>(
        pool: &Pool,
        kind: Kind,
        locks: &[Lock],
        work: impl AsyncFnOnce(&mut Self) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let mut session = Self::open_with(pool, kind, locks).await?;
        let done = work(&mut session).await?;
        session.commit().await?;
        Ok(done)
    }

    /// The same for an operation that only reads. It is repeated after errors that usually do not come twice.
    pub(crate) async fn read<T>(
        pool: &Pool,
        kind: Kind,
        work: impl AsyncFnOnce(&mut Self) -> Result<T, StorageError> + Clone,
    ) -> Result<T, StorageError> {
        let mut retries = 0;
        loop {
            match Self::run(pool, kind, work.clone()).await {
                Err(error) if retries < RETRIES && is_transient(&error) => {
                    retries += 1;
                }
                read => return read,
            }
        }
    }

    /// To be ended by [`Session::commit`], and bounded by the caller.
    pub(crate) async fn open(pool: &Pool, kind: Kind) -> Result<Self, StorageError> {
        Self::open_with(pool, kind, &[]).await
    }

    /// A transaction that begins with these locks, in this order.
    pub(crate) async fn open_locked(pool: &Pool, locks: &[Lock]) -> Result<Self, StorageError> {
        Self::open_with(pool, Kind::Transaction, locks).await
    }

    async fn open_with(pool: &Pool, kind: Kind, locks: &[Lock]) -> Result<Self, StorageError> {
        let is_persistent = pool.statement_cache;
        let in_transaction = match kind {
            // Preparing and executing are two steps: only a transaction keeps a pooler from giving each another server.
            Kind::Statement => !is_persistent,
            Kind::Indexed => !pool.prefers_indexes,
            Kind::Transaction => true,
        };
        let end: fn(Connection) = if in_transaction { roll_back } else { test };
        let mut session = Self {
            connection: scopeguard::guard(pool.acquire().await?, end),
            in_transaction,
            is_persistent,
        };
        if in_transaction {
            // One message: each costs a round trip.
            let mut begin = String::from("begin;");
            if kind == Kind::Indexed {
                begin += &set_local(&INDEX_SETTINGS);
            }
            // What is locked is found by its key.
            if !locks.is_empty() {
                begin += &set_local(&KEY_SETTINGS);
            }
            begin += &locks::sql(locks);
            session.execute(begin).await?;
        }
        Ok(session)
    }

    /// Within a transaction: no plan that reads a whole table where there is another, and none that takes long to start.
    pub(crate) async fn prefer_indexes(&mut self) -> Result<(), StorageError> {
        self.execute(set_local(&INDEX_SETTINGS)).await
    }

    /// Within a transaction: takes further locks, in this order.
    pub(crate) async fn lock(&mut self, locks: &[Lock]) -> Result<(), StorageError> {
        self.execute(locks::sql(locks)).await
    }

    /// Statements without parameters, in one message.
    async fn execute(&mut self, sql: String) -> Result<(), StorageError> {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(self.conn()).await?;
        Ok(())
    }

    /// The connection to execute on.
    pub(crate) fn conn(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    pub(crate) fn query<'q>(&self, sql: &'static str) -> Query<'q, Postgres, PgArguments> {
        sqlx::query(sql).persistent(self.is_persistent)
    }

    pub(crate) fn query_as<'q, T>(&self, sql: &'static str) -> QueryAs<'q, Postgres, T, PgArguments>
    where
        T: for<'r> FromRow<'r, PgRow>,
    {
        sqlx::query_as(sql).persistent(self.is_persistent)
    }

    pub(crate) fn query_scalar<'q, T>(&self, sql: &'static str) -> QueryScalar<'q, Postgres, T, PgArguments>
    where
        T: for<'r> Decode<'r, Postgres> + Type<Postgres> + Send + Unpin,
    {
        sqlx::query_scalar(sql).persistent(self.is_persistent)
    }

    /// Whether the connection keeps prepared statements.
    pub(crate) fn is_persistent(&self) -> bool {
        self.is_persistent
    }

    /// The rows of a statement.
    pub(crate) async fn fetch<T>(&mut self, mut sql: QueryBuilder<Postgres>) -> Result<Vec<T>, StorageError>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let query = sql.build_query_as().persistent(self.is_persistent);
        // sqlx enters the current span twice for each row. Nothing is logged meanwhile, so there need not be one.
        let rows = query.fetch_all(self.conn()).with_subscriber(Dispatch::none());
        Ok(rows.await?)
    }

    /// The database's clock.
    pub(crate) async fn clock(&mut self) -> Result<Timestamp, StorageError> {
        let now = self.query_scalar("select (extract(epoch from clock_timestamp()) * 1000000)::bigint");
        from_micros(now.fetch_one(self.conn()).await?)
    }

    /// To be called before rows that were read are reported as safe. A server that was started again shows commits that its standby
    /// has not confirmed; this writes a log record after them, so that the end of the operation waits for both.
    pub(crate) async fn await_durable(&mut self) -> Result<(), StorageError> {
        let record = self.query("select pg_logical_emit_message(true, 'arxiv', '')");
        record.execute(self.conn()).await?;
        Ok(())
    }

    /// Ends an operation that succeeded, and commits its writes.
    pub(crate) async fn commit(mut self) -> Result<(), StorageError> {
        if self.in_transaction {
            sqlx::raw_sql("commit").execute(self.conn()).await?;
        }
        // In order, so it goes back to the pool as it is.
        drop(ScopeGuard::into_inner(self.connection));
        Ok(())
    }
}

/// The statements that make these settings those of a transaction.
fn set_local(settings: &[(&str, &str)]) -> String {
    let statements = settings
        .iter()
        .map(|(name, value)| format!("set local {name} = {value};"));
    statements.collect()
}

/// Waits for what may still be under way on a connection; it goes back to the pool if it is in order then, else it is closed.
fn test(mut connection: Connection) {
    tokio::spawn(async move {
        if with_timeout(PROBE_TIMEOUT, connection.ping()).await.is_err() {
            drop(Object::take(connection));
        }
    });
}

/// The same for a connection with a transaction.
fn roll_back(mut connection: Connection) {
    tokio::spawn(async move {
        let rollback = sqlx::raw_sql("rollback").execute(&mut *connection);
        if with_timeout(PROBE_TIMEOUT, rollback).await.is_err() {
            drop(Object::take(connection));
        }
    });
}

/// A replica's recovery cancelled the read (SQLSTATE 40001), or its connection broke or was closed by an administrator (57P01).
fn is_transient(error: &StorageError) -> bool {
    matches!(error, StorageError::Unavailable(cause) if matches!(cause.0, sqlx::Error::Io(_)) && !is_starting(&cause.0))
        || matches!(error.sqlstate().as_deref(), Some("40001" | "57P01"))
}
