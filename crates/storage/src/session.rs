//! One operation's connection: a plain one for a single statement, or a transaction.

use sqlx::{
    FromRow, PgConnection, PgPool, Postgres, Transaction,
    pool::PoolConnection,
    postgres::{PgArguments, PgRow},
    query::{Query, QueryAs},
};

use crate::StorageError;

/// A connection out of a pool, for one operation. Dropped without [`Session::done`], a transaction is rolled back.
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

    /// For several statements, all or none.
    pub(crate) async fn transaction(pool: &PgPool) -> Result<Self, StorageError> {
        let transaction = pool.begin().await?;
        Ok(Self {
            connection: Held::Transaction(transaction),
            persistent: has_statement_cache(pool),
        })
    }

    /// The connection to execute on.
    pub(crate) fn on(&mut self) -> &mut PgConnection {
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
    pub(crate) async fn confirm(&mut self) -> Result<(), StorageError> {
        let record = self.query("select pg_logical_emit_message(true, 'arxiv', '')");
        record.execute(self.on()).await?;
        Ok(())
    }

    /// Ends the operation, with what it wrote.
    pub(crate) async fn done(self) -> Result<(), StorageError> {
        match self.connection {
            Held::Plain(_) => Ok(()),
            Held::Transaction(transaction) => Ok(transaction.commit().await?),
        }
    }
}

/// [`crate::pool`] sends session settings on start-up exactly when statements may be cached.
fn has_statement_cache(pool: &PgPool) -> bool {
    pool.connect_options()
        .get_options()
        .is_some_and(|options| options.contains("statement_timeout"))
}
