//! Whether a database can be used, for readiness.

use std::time::Duration;

use service::health::{Checks, NeedState, Reason, Required};
use storage::{
    PgPool,
    schema::{self, Need},
};

/// One check of one database, the wait for a connection included.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether the schema is there and this user has the rights it needs.
pub async fn check(pool: &PgPool, need: Need) -> NeedState {
    match tokio::time::timeout(CHECK_TIMEOUT, schema::check(pool, need)).await {
        Ok(Ok(None)) => NeedState::Ready,
        Ok(Ok(Some(reason))) => NeedState::NotReady(reason.into()),
        Ok(Err(error)) => NeedState::NotReady(Reason::of_error(&error)),
        Err(_) => NeedState::NotReady("the database did not answer in time".into()),
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
