//! Connection pools, one per database and user, and whether they can be used, for readiness.

use std::{sync::Arc, time::Duration};

use service::{
    health::{Checks, NeedState, Required},
    settings::DatabaseUrl,
};
use storage::{
    Access, Address, Pool, PoolSettings, StorageError,
    schema::{self, Need},
};

use crate::Tables;

/// How long an operation waits for a connection; a caller is better off with an error that says when to try again.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// One check of one database, the wait for a connection included.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// A pool that cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("the address of the {name} database")]
pub struct PoolError {
    name: &'static str,
    #[source]
    source: StorageError,
}

/// Opens pools, which connect when first used.
pub struct Pools {
    /// How the databases list this process.
    pub application_name: &'static str,
    /// Whether statements are prepared once per connection; off behind a transaction pooler.
    pub statement_cache: bool,
    /// The pools so far, by name.
    pub opened: Vec<(&'static str, Pool)>,
}

impl Pools {
    /// Opens a pool of at most so many connections. To be called within a tokio runtime.
    pub fn open(
        &mut self,
        name: &'static str,
        url: &DatabaseUrl,
        access: Access,
        max_connections: u32,
    ) -> Result<Pool, PoolError> {
        let settings = PoolSettings {
            access,
            max_connections,
            acquire_timeout: ACQUIRE_TIMEOUT,
            statement_cache: self.statement_cache,
            application_name: self.application_name.to_owned(),
        };
        let pool = Pool::open(address(url), &settings).map_err(|source| PoolError { name, source })?;
        self.opened.push((name, pool.clone()));
        Ok(pool)
    }

    /// Opens the pools of `queries` and `results`: one for both where their addresses are the same.
    pub fn open_tables(
        &mut self,
        [common, results]: [&'static str; 2],
        tables: &Tables,
        access: Access,
        max_connections: u32,
    ) -> Result<(Pool, Pool), PoolError> {
        let queries_pool = self.open(common, &tables.queries, access, max_connections)?;
        let results_pool = if tables.queries == tables.results {
            queries_pool.clone()
        } else {
            self.open(results, &tables.results, access, max_connections)?
        };
        Ok((queries_pool, results_pool))
    }
}

/// The address that a database's settings describe: parts that are in files are read for each new connection.
pub fn address(url: &DatabaseUrl) -> Address {
    if !url.is_in_files() {
        return url.as_str().into();
    }
    let url = url.clone();
    Address::Read(Arc::new(move || Ok(url.current()?)))
}

/// Whether the schema is there and this user has the rights it needs.
pub async fn check(pool: &Pool, need: Need) -> NeedState {
    let checked = tokio::time::timeout(CHECK_TIMEOUT, schema::check(pool, need)).await;
    match checked.unwrap_or(Err(StorageError::TimedOut)) {
        Ok(None) => NeedState::Ready,
        Ok(Some(reason)) => NeedState::NotReady(reason.into()),
        Err(error) => NeedState::because(error.to_string(), &error),
    }
}

/// Adds a database to what is checked.
pub fn add_check(checks: &mut Checks, name: &'static str, required: Required, pool: &Pool, need: Need) {
    let pool = pool.clone();
    checks.add(name, required, move || {
        let pool = pool.clone();
        async move { check(&pool, need).await }
    });
}
