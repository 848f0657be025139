//! The SQL files, embedded in the binary, each folder with a history table of its own.

use std::sync::Arc;

use sqlx::migrate::{MigrateError, Migrator};

use super::database::{Database, migration_error};
use crate::{StorageError, schema::Store};

/// Applies the files that have not been applied yet.
pub(super) async fn apply(database: &mut Database<'_>, store: Store) -> Result<(), StorageError> {
    let (mut migrator, name): (Migrator, _) = match store {
        Store::Sequence => (sqlx::migrate!("../../migrations/sequence"), "sequence"),
        Store::Upstream => (sqlx::migrate!("../../migrations/upstream"), "upstream"),
        Store::Queries => (sqlx::migrate!("../../migrations/queries"), "queries"),
        Store::Results => (sqlx::migrate!("../../migrations/results"), "results"),
    };
    migrator.dangerous_set_table_name(format!("public.arxiv_migrations_{name}"));
    // We hold a lock that covers more; sqlx's own would block in a way that deadlocks with `create index concurrently`.
    migrator.set_locking(false);
    let applied = migrator.run_direct(None, &mut database.connection, false).await;
    applied.map_err(|error| match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            migration_error("a migration file", error)
        }
        error => StorageError::Migration {
            message: error.to_string(),
            source: Some(Arc::new(error)),
        },
    })
}
