//! A database that holds one or more stores, while it is migrated.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::Instant;

use crate::{
    StorageError,
    connection::{Connector, session_settings, with_timeout},
    error::sqlstate,
    schema::Store,
};

/// The lock's key in the space of two integers ("arxi", "migr").
const KEY: (i32, i32) = (0x6172_7869, 0x6d69_6772);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(500);

/// How long one try of a change may block others.
const LOCK_TIMEOUT: &str = "set local lock_timeout = '500ms'";
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A table that is in use without a pause of half a second for so long has a transaction that was left open.
const TOTAL_TIMEOUT: Duration = Duration::from_mins(10);

pub(super) struct Database<'a> {
    pub(super) name: String,
    pub(super) connection: PgConnection,
    pub(super) stores: Vec<Store>,
    /// The server's start and the database: the same for two URLs that name one database differently.
    pub(super) identity: (i64, i64),
    /// Receives a line for each step.
    pub(super) progress: &'a (dyn Fn(&str) + Sync),
}

impl<'a> Database<'a> {
    pub(super) async fn connect(
        url: &str,
        store: Store,
        progress: &'a (dyn Fn(&str) + Sync),
    ) -> Result<Self, StorageError> {
        // Building an index may take any time; steps that must not wait long set their own limit.
        let mut settings = session_settings(Duration::ZERO).to_vec();
        settings.retain(|(name, _)| !name.starts_with("idle_"));
        let connector = Connector::new(url.into(), "arxiv-migrate", true, &settings)?;
        let mut connection = with_timeout(CONNECT_TIMEOUT, connector.connect()).await?;
        let (started, oid, name, encoding): (_, _, String, String) = sqlx::query_as(
            "select (extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint, oid::bigint, datname::text,
                    pg_encoding_to_char(encoding)::text
             from pg_database where datname = current_database()",
        )
        .fetch_one(&mut connection)
        .await?;
        // Others cannot hold every name and title, and SQL_ASCII knows no letters: words could not be searched for.
        if encoding != "UTF8" {
            return Err(StorageError::migration(format!(
                "the database {name} has the encoding {encoding}, and UTF8 is needed: create one with `create database … encoding \
                 'UTF8' template template0`, and copy the rows with pg_dump and pg_restore"
            )));
        }
        Ok(Self {
            name,
            connection,
            stores: vec![store],
            identity: (started, oid),
            progress,
        })
    }

    pub(super) fn report(&self, step: &str) {
        (self.progress)(step);
    }

    /// Waits for other migrations. By asking again, not by a blocking call: `create index concurrently` of the other migration would
    /// wait for the snapshot of that call, which is a deadlock.
    pub(super) async fn lock(&mut self) -> Result<(), StorageError> {
        let lock = || {
            sqlx::query_scalar("select pg_try_advisory_lock($1, $2)")
                .bind(KEY.0)
                .bind(KEY.1)
        };
        while !lock().fetch_one(&mut self.connection).await? {
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    pub(super) async fn unlock(&mut self) -> Result<(), StorageError> {
        let unlock = sqlx::query("select pg_advisory_unlock($1, $2)")
            .bind(KEY.0)
            .bind(KEY.1);
        unlock.execute(&mut self.connection).await?;
        Ok(())
    }

    /// Runs a statement, made of our own text and quoted identifiers.
    pub(super) async fn execute(&mut self, step: &str, sql: String) -> Result<(), StorageError> {
        let done = sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut self.connection)
            .await;
        done.map(drop).map_err(|error| migration_error(step, error))
    }

    /// Changes a table that may be in use, by such statements in one transaction.
    ///
    /// `alter table` waits for every transaction that uses the table, and all later ones then wait behind it. So it waits only
    /// briefly (`lock_timeout`), gives way to the others, and tries again.
    pub(super) async fn change(&mut self, step: &str, statements: &str) -> Result<(), StorageError> {
        let deadline = Instant::now() + TOTAL_TIMEOUT;
        let mut pause = FIRST_PAUSE;
        while let Err(error) = self.try_change(statements).await {
            // Lock time-out, deadlock.
            if !matches!(sqlstate(&error).as_deref(), Some("55P03" | "40P01")) {
                return Err(migration_error(step, error));
            }
            if Instant::now() >= deadline {
                return Err(StorageError::migration(format!(
                    "{step}: the table was in use all the time; end the longest transaction on it and run again"
                )));
            }
            self.report(&format!("{step}: in use, trying again"));
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Ok(())
    }

    async fn try_change(&mut self, statements: &str) -> Result<(), sqlx::Error> {
        let mut transaction = self.connection.begin().await?;
        for sql in [LOCK_TIMEOUT, statements] {
            sqlx::raw_sql(AssertSqlSafe(sql))
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await
    }
}

/// A failed step of a migration, with the database's own message: it is for the database's owner. A failure that may end by itself
/// stays as it is.
pub(super) fn migration_error(step: &str, error: sqlx::Error) -> StorageError {
    let message = match error.as_database_error() {
        Some(answer) => format!("{step}: {}", answer.message()),
        None => format!("{step} failed"),
    };
    match StorageError::from(error) {
        StorageError::Refused(error) | StorageError::NotPrepared(error) => StorageError::Migration {
            message,
            source: Some(error),
        },
        transient => transient,
    }
}
