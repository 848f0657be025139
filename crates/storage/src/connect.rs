//! Pools and connections: bounded in number, in time and in life.

use std::time::Duration;

use sqlx::PgPool;

use crate::StorageError;

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
    todo!("{url}{settings:?}")
}
