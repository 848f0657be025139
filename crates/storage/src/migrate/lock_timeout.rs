//! Changes of tables that are in use.
//!
//! `alter table` waits for every transaction that uses the table, and all later ones then wait behind it. So it waits only
//! briefly (`lock_timeout`), gives way to the others, and tries again.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::Instant;

use super::{Progress, files::migration_error};
use crate::StorageError;

/// How long one try may block others.
const LOCK_TIMEOUT: &str = "set local lock_timeout = '500ms'";
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A table that is in use without a pause of half a second for so long has a transaction that was left open.
const TOTAL_TIMEOUT: Duration = Duration::from_mins(10);

/// Runs `statements` (one or more, made of our own text and quoted identifiers) in one transaction.
pub(super) async fn change(
    connection: &mut PgConnection,
    step: &str,
    statements: &str,
    progress: Progress<'_>,
) -> Result<(), StorageError> {
    let deadline = Instant::now() + TOTAL_TIMEOUT;
    let mut pause = FIRST_PAUSE;
    loop {
        let Err(error) = try_once(connection, statements).await else {
            return Ok(());
        };
        let code = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .map(std::borrow::Cow::into_owned);
        // Lock time-out, deadlock.
        if !matches!(code.as_deref(), Some("55P03" | "40P01")) {
            return Err(migration_error(step, error));
        }
        if Instant::now() >= deadline {
            return Err(StorageError::migration(format!(
                "{step}: the table was in use all the time; end the longest transaction on it and run again"
            )));
        }
        progress(&format!("{step}: in use, trying again"));
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn try_once(connection: &mut PgConnection, statements: &str) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql(LOCK_TIMEOUT).execute(&mut *transaction).await?;
    sqlx::raw_sql(AssertSqlSafe(statements))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}
