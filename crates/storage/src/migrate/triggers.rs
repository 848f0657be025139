//! Triggers on tables that are in use.

use sqlx::PgConnection;

use super::{Progress, Store, lock_timeout};
use crate::StorageError;

/// Makes the store's trigger if it is missing: a transaction that deletes or changes results starts a new epoch.
pub(super) async fn ensure(
    connection: &mut PgConnection,
    store: Store,
    progress: Progress<'_>,
) -> Result<(), StorageError> {
    if store != Store::Results {
        return Ok(());
    }
    let existing = sqlx::query_scalar::<_, bool>(
        "select exists (select from pg_trigger where tgrelid = 'public.results'::regclass and tgname = 'results_changed'
           and tgenabled in ('O', 'A'))",
    );
    if existing.fetch_one(&mut *connection).await? {
        return Ok(());
    }
    progress("trigger results_changed: making");
    lock_timeout::change(
        connection,
        "trigger results_changed",
        "drop trigger if exists results_changed on public.results;
         create trigger results_changed after delete or update or truncate on public.results
           for each statement execute function public.results_changed();",
        progress,
    )
    .await
}
