//! How long rows of objects are kept: stored in the database by its owner, so that a user that records cannot delete more.

use sqlx::PgConnection;

use super::{Progress, indexes};
use crate::StorageError;

/// Sets the age in days, or that there is none.
pub(super) async fn apply(
    connection: &mut PgConnection,
    days: Option<i32>,
    progress: Progress<'_>,
) -> Result<(), StorageError> {
    let before = sqlx::query_scalar::<_, i32>("select days from public.arxiv_retention");
    let before = before.fetch_optional(&mut *connection).await?;
    if let Some(days) = days {
        // It finds the oldest rows. Without an age they are not searched; an index that exists already does little harm.
        indexes::ensure_by_age(connection, progress).await?;
        if before != Some(days) {
            progress(&format!("rows of objects are kept for {days} days"));
            let set = "insert into public.arxiv_retention (days) values ($1)
                       on conflict (single) do update set days = excluded.days";
            sqlx::query(set).bind(days).execute(connection).await?;
        }
    } else if before.is_some() {
        progress("rows of objects are kept for ever");
        sqlx::query("delete from public.arxiv_retention")
            .execute(connection)
            .await?;
    }
    Ok(())
}
