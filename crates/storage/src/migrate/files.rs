//! The SQL files, embedded in the binary, each folder with a history table of its own.

use std::sync::Arc;

use sqlx::{
    AssertSqlSafe,
    migrate::{MigrateError, Migrator},
};

use super::database::{Database, migration_error};
use crate::{StorageError, schema::Store};

/// The major version of the schema. Programs run on every later schema of the same one. A file that ends this compatibility is
/// named `NNNN_major_M_….sql`.
const MAJOR: u32 = 1;

fn of(store: Store) -> (Migrator, &'static str) {
    match store {
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
    }
}

/// The newest migration that was applied to the store by a later version of this program, if there is one. An error if this version
/// cannot work with it.
pub(super) async fn later(database: &mut Database<'_>, store: Store) -> Result<Option<i64>, StorageError> {
    let (migrator, table) = of(store);
    let exists = sqlx::query_scalar::<_, bool>("select to_regclass($1) is not null").bind(table);
    if !exists.fetch_one(&mut database.connection).await? {
        return Ok(None);
    }
    let applied = format!("select version, description from {table} order by version");
    let applied = sqlx::query_as::<_, (i64, String)>(AssertSqlSafe(applied));
    let mut applied = applied.fetch_all(&mut database.connection).await?;
    applied.retain(|(version, _)| !migrator.version_exists(*version));
    if let Some(major) = applied
        .iter()
        .filter_map(|(_, description)| major(description))
        .max()
        .filter(|major| *major > MAJOR)
    {
        return Err(StorageError::migration(format!(
            "the database {} has a schema of the major version {major}, which this program of version {MAJOR} cannot use: install \
             a newer version, or restore a backup from before the upgrade",
            database.name
        )));
    }
    Ok(applied.last().map(|(version, _)| *version))
}

/// The major version that begins with a migration: sqlx makes its description from the file's name, with spaces for `_`.
fn major(description: &str) -> Option<u32> {
    let number = description.strip_prefix("major ")?.split(' ').next()?;
    number.parse().ok()
}

/// Applies the files that have not been applied yet.
pub(super) async fn apply(database: &mut Database<'_>, store: Store) -> Result<(), StorageError> {
    let (mut migrator, table) = of(store);
    migrator.dangerous_set_table_name(table);
    // What a later version applied is not among the files.
    migrator.set_ignore_missing(true);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn major_version_is_in_the_name_of_the_migration_that_begins_it() {
        for (description, expected) in [
            ("tombstones", None),
            ("major 2 one table", Some(2)),
            ("major 12", Some(12)),
            ("major change", None),
        ] {
            assert_eq!(major(description), expected, "{description}");
        }
        for store in [Store::Sequence, Store::Upstream, Store::Queries, Store::Results] {
            let (migrator, _) = of(store);
            let newest = migrator
                .iter()
                .filter_map(|migration| major(&migration.description))
                .max();
            assert!(
                newest.is_none_or(|newest| newest <= MAJOR),
                "{store:?}: raise MAJOR"
            );
        }
    }
}
