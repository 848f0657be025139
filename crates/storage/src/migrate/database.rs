//! A database that holds one or more stores.

use std::time::Duration;

use sqlx::{ConnectOptions, PgConnection};

use super::Store;
use crate::{
    StorageError,
    connection::{options, session_settings, with_timeout},
};

/// The lock's key in the space of two integers ("arxi", "migr").
const KEY: (i32, i32) = (0x6172_7869, 0x6d69_6772);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(500);

pub(super) struct Database {
    pub(super) name: String,
    pub(super) connection: PgConnection,
    pub(super) stores: Vec<Store>,
    /// The server's start and the database: the same for two URLs that name one database differently.
    identity: (i64, i64),
}

impl Database {
    pub(super) async fn connect(url: &str, store: Store) -> Result<Self, StorageError> {
        // Building an index may take any time; steps that must not wait long set their own limit.
        let mut settings = session_settings(Duration::ZERO).to_vec();
        settings.retain(|(name, _)| !name.starts_with("idle_"));
        let options = options(url)?.application_name("arxiv-migrate").options(settings);
        let mut connection = with_timeout(CONNECT_TIMEOUT, options.connect()).await?;
        let (started, oid, name) = sqlx::query_as(
            "select (extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint, oid::bigint, datname::text
             from pg_database where datname = current_database()",
        )
        .fetch_one(&mut connection)
        .await?;
        Ok(Self {
            name,
            connection,
            stores: vec![store],
            identity: (started, oid),
        })
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.identity == other.identity
    }

    /// Waits for other migrations. By asking again, not by a blocking call: `create index concurrently` of the other migration would
    /// wait for the snapshot of that call, which is a deadlock.
    pub(super) async fn lock(&mut self) -> Result<(), StorageError> {
        loop {
            let lock = sqlx::query_scalar::<_, bool>("select pg_try_advisory_lock($1, $2)")
                .bind(KEY.0)
                .bind(KEY.1);
            if lock.fetch_one(&mut self.connection).await? {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    pub(super) async fn unlock(&mut self) -> Result<(), StorageError> {
        let unlock = sqlx::query("select pg_advisory_unlock($1, $2)")
            .bind(KEY.0)
            .bind(KEY.1);
        unlock.execute(&mut self.connection).await?;
        Ok(())
    }
}
