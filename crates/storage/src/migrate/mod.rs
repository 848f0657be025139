//! Prepares the databases: run with the owner's credential as a step of its own.
//!
//! The SQL files are in `migrations/`, one folder for each store. Other stages read the database's catalogue and change only what
//! differs, so that they may run again, and on tables that the existing service made and writes to.
//! The stores may be in one to four databases; each database is migrated under a lock of its own.

mod adopt;
mod database;
mod files;
mod grants;
mod indexes;
mod lock_timeout;
mod retention;
mod roles;
mod sequence;
mod triggers;

use self::database::Database;
use crate::StorageError;

/// Where the stores are and what new users' passwords are. No `Debug`: it holds secrets.
#[derive(Clone)]
pub struct MigrateSettings {
    /// Owner's `postgresql://` URL of the database with the sequence and the ledger.
    pub sequence_url: String,
    /// Owner's URL of the database with the gate and the pages.
    pub upstream_url: String,
    /// Owner's URL of the database with `queries`.
    pub queries_url: String,
    /// Owner's URL of the database with `results`.
    pub results_url: String,
    /// Passwords for users that do not exist yet.
    pub passwords: RolePasswords,
    /// How many days rows of objects are kept, at least 1; for ever when none.
    pub retention_days: Option<i32>,
}

/// Passwords for users that do not exist yet; existing ones keep theirs. Without one a user is created without a password.
#[derive(Clone, Default)]
pub struct RolePasswords {
    /// `arxiv_rw`: records and writes.
    pub arxiv_rw: Option<String>,
    /// `arxiv_ro`: reads.
    pub arxiv_ro: Option<String>,
    /// `arxiv_sequence`: numbers.
    pub arxiv_sequence: Option<String>,
    /// `arxiv_operator`: the ledger.
    pub arxiv_operator: Option<String>,
    /// `arxiv_upstream`: gate and pages.
    pub arxiv_upstream: Option<String>,
}

/// Receives a line for each step.
pub(crate) type Progress<'a> = &'a (dyn Fn(&str) + Sync);

/// A logical store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Store {
    Sequence,
    Upstream,
    Queries,
    Results,
}

/// Brings all stores to this version: new ones, those of the existing service (which may go on writing), and our own.
/// May be run again, and by several at once. `progress` gets a line for each step.
pub async fn run(settings: &MigrateSettings, progress: &(dyn Fn(&str) + Sync)) -> Result<(), StorageError> {
    let urls = [
        (Store::Sequence, &settings.sequence_url),
        (Store::Upstream, &settings.upstream_url),
        (Store::Queries, &settings.queries_url),
        (Store::Results, &settings.results_url),
    ];
    let mut databases: Vec<Database> = Vec::new();
    for (store, url) in urls {
        let mut database = Database::connect(url, store).await?;
        match databases.iter_mut().find(|known| known.is_same(&database)) {
            Some(known) => known.stores.append(&mut database.stores),
            None => databases.push(database),
        }
    }
    for database in &mut databases {
        progress(&format!("{}: waiting for other migrations to end", database.name));
        database.lock().await?;
        migrate(database, settings, progress).await?;
        database.unlock().await?;
    }
    sequence::raise(&mut databases, progress).await?;
    progress("all databases are ready");
    Ok(())
}

/// One database, under its lock.
async fn migrate(
    database: &mut Database,
    settings: &MigrateSettings,
    progress: Progress<'_>,
) -> Result<(), StorageError> {
    let Database {
        name,
        connection,
        stores,
        ..
    } = database;
    progress(&format!("{name}: users"));
    roles::ensure(connection, stores, &settings.passwords, progress).await?;
    for store in stores.iter() {
        adopt::adopt(connection, *store, progress).await?;
        progress(&format!("{name}: tables of {store:?}"));
        files::apply(connection, *store).await?;
        triggers::ensure(connection, *store, progress).await?;
        indexes::ensure(connection, *store, progress).await?;
    }
    if stores.contains(&Store::Queries) {
        retention::apply(connection, settings.retention_days, progress).await?;
    }
    progress(&format!("{name}: rights"));
    grants::apply(connection, stores, progress).await
}
