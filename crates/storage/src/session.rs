//! One operation's connection: a plain one for a single statement, or a transaction.

use sqlx::{
    AssertSqlSafe, FromRow, PgConnection, PgPool, Postgres, Transaction,
    pool::PoolConnection,
    postgres::{PgArguments, PgRow},
    query::{Query, QueryAs},
};

use crate::{StorageError, connect::INDEX_SETTINGS};

/// A connection out of a pool, for one operation. Dropped without [`Session::commit`], a transaction is rolled back.
pub(crate) struct Session {
    connection: Held,
    persistent: bool,
}

enum Held {
    Plain(PoolConnection<Postgres>),
    Transaction(Transaction<'static, Postgres>),
}

impl Session {
    /// For a single statement.
    pub(crate) async fn statement(pool: &PgPool) -> Result<Self, StorageError> {
        if has_statement_cache(pool) {
            Ok(Self {
                connection: Held::Plain(pool.acquire().await?),
                persistent: true,
            })
        } else {
            // Preparing and executing are two steps: only a transaction keeps a pooler from giving each another server.
            Self::transaction(pool).await
        }
    }

    /// For a single statement that is to be answered by indexes, whatever the server takes for cheap.
    pub(crate) async fn indexed(pool: &PgPool) -> Result<Self, StorageError> {
        if has_setting(pool, "enable_seqscan") {
            return Self::statement(pool).await;
        }
        let mut session = Self::transaction(pool).await?;
        session.prefer_indexes().await?;
        Ok(session)
    }

    /// Within a transaction: no plan that reads a whole table where there is another, and none that takes long to begin.
    pub(crate) async fn prefer_indexes(&mut self) -> Result<(), StorageError> {
        let settings = INDEX_SETTINGS.map(|(name, value)| format!("set local {name} = {value}"));
        sqlx::raw_sql(AssertSqlSafe(settings.join("; ")))
            .execute(self.conn())
            .await?;
        Ok(())
    }

    /// Whether statements are kept by the server once they are prepared.
    pub(crate) fn is_persistent(&self) -> bool {
        self.persistent
    }

    /// For several statements, all or none.
    pub(crate) async fn transaction(pool: &PgPool) -> Result<Self, StorageError> {
        let transaction = pool.begin().await?;
        Ok(Self {
            connection: Held::Transaction(transaction),
            persistent: has_statement_cache(pool),
        })
    }

    /// The connection to execute on.
    pub(crate) fn conn(&mut self) -> &mut PgConnection {
        match &mut self.connection {
            Held::Plain(connection) => connection,
            Held::Transaction(transaction) => transaction,
        }
    }

    pub(crate) fn query<'q>(&self, sql: &'static str) -> Query<'q, Postgres, PgArguments> {
        sqlx::query(sql).persistent(self.persistent)
    }

    pub(crate) fn query_as<'q, T>(&self, sql: &'static str) -> QueryAs<'q, Postgres, T, PgArguments>
    where
        T: for<'r> FromRow<'r, PgRow>,
    {
        sqlx::query_as(sql).persistent(self.persistent)
    }

    /// To be called before what was read is told as safe. A server that was started again shows commits that its standby has
    /// not confirmed; this puts a record after them, so that the end of the operation waits for both.
    pub(crate) async fn await_durable(&mut self) -> Result<(), StorageError> {
        let record = self.query("select pg_logical_emit_message(true, 'arxiv', '')");
        record.execute(self.conn()).await?;
        Ok(())
    }

    /// Ends the operation, which went well, with what it wrote.
    pub(crate) async fn commit(self) -> Result<(), StorageError> {
        match self.connection {
            Held::Plain(_) => Ok(()),
            Held::Transaction(transaction) => Ok(transaction.commit().await?),
        }
    }
}

/// [`crate::pool`] sends session settings on start-up exactly when statements may be cached.
fn has_statement_cache(pool: &PgPool) -> bool {
    has_setting(pool, "statement_timeout")
}

fn has_setting(pool: &PgPool, name: &str) -> bool {
    let options = pool.connect_options();
    options
        .get_options()
        .is_some_and(|options| options.contains(name))
}
