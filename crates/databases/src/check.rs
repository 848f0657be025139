//! Whether a database can be used, for readiness.

use std::time::Duration;

use service::health::{Checks, NeedState, Required};
use storage::{
    PgPool, StorageError,
    schema::{self, Need},
};

/// One check of one database, the wait for a connection included.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether the schema is there and this user has the rights it needs.
pub async fn check(pool: &PgPool, need: Need) -> NeedState {
    let checked = tokio::time::timeout(CHECK_TIMEOUT, schema::check(pool, need)).await;
    match checked.unwrap_or(Err(StorageError::TimedOut)) {
        Ok(None) => NeedState::Ready,
        Ok(Some(reason)) => NeedState::NotReady(reason.into()),
        Err(error) => NeedState::because(error.to_string(), &error),
    }
}

/// Adds a database to what is checked.
pub fn add_check(checks: &mut Checks, name: &'static str, required: Required, pool: &PgPool, need: Need) {
    let pool = pool.clone();
    checks.add(name, required, move || {
        let pool = pool.clone();
        async move { check(&pool, need).await }
    });
}
