//! The SQL files, embedded in the binary, each folder with a history table of its own.

use std::sync::Arc;

use sqlx::{
    PgConnection,
    migrate::{MigrateError, Migrator},
};

use super::Store;
use crate::StorageError;

/// Applies the files that have not been applied yet.
pub(super) async fn apply(connection: &mut PgConnection, store: Store) -> Result<(), StorageError> {
    let (mut migrator, history): (Migrator, &'static str) = match store {
        Store::Sequence => (
            sqlx::migrate!("../../migrations/sequence"),
            "public.arxiv_migrations_sequence",
        ),
        Store::Upstream => (
            sqlx::migrate!("../../migrations/upstream"),
            "public.arxiv_migrations_upstream",
        ),
        Store::Queries => (
            sqlx::migrate!("../../migrations/queries"),
            "public.arxiv_migrations_queries",
        ),
        Store::Results => (
            sqlx::migrate!("../../migrations/results"),
            "public.arxiv_migrations_results",
        ),
    };
    migrator.dangerous_set_table_name(history);
    // We hold a lock that covers more; sqlx's own would block in a way that deadlocks with `create index concurrently`.
    migrator.set_locking(false);
    migrator
        .run_direct(None, connection, false)
        .await
        .map_err(failure)
}

fn failure(error: MigrateError) -> StorageError {
    let error = match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            return migration_error("a migration file", error);
        }
        error => error,
    };
    StorageError::Migration {
        message: error.to_string(),
        source: Some(Arc::new(error)),
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
