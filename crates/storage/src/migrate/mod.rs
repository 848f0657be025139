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
mod roles;
mod sequence;

use self::database::Database;
use crate::{StorageError, schema::Store};

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

/// Brings all stores to this version: new ones, those of the existing service (which may go on writing), and our own.
/// May be run again, and by several at once. `progress` gets a line for each step.
pub async fn run(settings: &MigrateSettings, progress: &(dyn Fn(&str) + Sync)) -> Result<(), StorageError> {
    let urls = [
        (Store::Sequence, &settings.sequence_url),
        (Store::Upstream, &settings.upstream_url),
        (Store::Queries, &settings.queries_url),
        (Store::Results, &settings.results_url),
    ];
    let mut databases: Vec<Database<'_>> = Vec::new();
    for (store, url) in urls {
        let database = Database::connect(url, store, progress).await?;
        match databases
            .iter_mut()
            .find(|known| known.identity == database.identity)
        {
            Some(known) => known.stores.push(store),
            None => databases.push(database),
        }
    }
    for database in &mut databases {
        database.report(&format!("{}: waiting for other migrations to end", database.name));
        database.lock().await?;
        migrate(database, settings).await?;
        database.unlock().await?;
    }
    sequence::raise(&mut databases).await?;
    progress("all databases are ready");
    Ok(())
}

/// One database, under its lock.
async fn migrate(database: &mut Database<'_>, settings: &MigrateSettings) -> Result<(), StorageError> {
    let (name, stores) = (database.name.clone(), database.stores.clone());
    let mut is_later = false;
    for store in &stores {
        if let Some(version) = files::later(database, *store).await? {
            database.report(&format!(
                "{name}: a later version made the tables of {store:?} ({version})"
            ));
            is_later = true;
        }
    }
    if is_later {
        // The later version knows what its tables, indexes and users need. This one runs on them as they are.
        for store in stores {
            files::apply(database, store).await?;
        }
        database.report(&format!("{name}: nothing else is changed"));
        return Ok(());
    }
    database.report(&format!("{name}: users"));
    roles::ensure(database, &settings.passwords).await?;
    for store in stores {
        adopt::adopt(database, store).await?;
        database.report(&format!("{name}: tables of {store:?}"));
        files::apply(database, store).await?;
        if store == Store::Results {
            watch_changes(database).await?;
        }
        indexes::ensure(database, store).await?;
    }
    if database.stores.contains(&Store::Queries) {
        keep_for(database, settings.retention_days).await?;
    }
    database.report(&format!("{name}: rights"));
    grants::apply(database).await
}

/// Makes the trigger of `results` if it is missing: a transaction that deletes or changes results starts a new epoch.
async fn watch_changes(database: &mut Database<'_>) -> Result<(), StorageError> {
    let existing = sqlx::query_scalar::<_, bool>(
        "select exists (select from pg_trigger where tgrelid = 'public.results'::regclass and tgname = 'results_changed'
           and tgenabled in ('O', 'A'))",
    );
    if existing.fetch_one(&mut database.connection).await? {
        return Ok(());
    }
    database.report("trigger results_changed: making");
    let make = "drop trigger if exists results_changed on public.results;
         create trigger results_changed after delete or update or truncate on public.results
           for each statement execute function public.results_changed();";
    database.change("trigger results_changed", make).await
}

/// Sets how many days rows of objects are kept, or that there is no limit. It is stored in the database by its owner, so that a user
/// that records cannot delete more.
async fn keep_for(database: &mut Database<'_>, days: Option<i32>) -> Result<(), StorageError> {
    let before = sqlx::query_scalar::<_, i32>("select days from public.arxiv_retention");
    let before = before.fetch_optional(&mut database.connection).await?;
    if let Some(days) = days {
        // It finds the oldest rows. Without an age they are not searched; an index that exists already does little harm.
        indexes::ensure_by_age(database).await?;
        if before != Some(days) {
            database.report(&format!("rows of objects are kept for {days} days"));
            let set = "insert into public.arxiv_retention (days) values ($1)
                       on conflict (single) do update set days = excluded.days";
            sqlx::query(set)
                .bind(days)
                .execute(&mut database.connection)
                .await?;
        }
    } else if before.is_some() {
        database.report("rows of objects are kept for ever");
        let delete = sqlx::query("delete from public.arxiv_retention");
        delete.execute(&mut database.connection).await?;
    }
    Ok(())
}
