//! Closed objects: they ended without rows, and get none later, however late a process comes with some.

use uuid::Uuid;

use super::{Closing, Ending, rows};
use crate::{StorageError, session::Session};

/// Closes the object unless it has an end already, on a session that holds the uid's lock; the end that stands there then.
pub(super) async fn close(
    session: &mut Session,
    uid: Uuid,
    closing: &Closing,
) -> Result<Ending, StorageError> {
    if let Some(ending) = rows::standing(session, uid).await? {
        return Ok(ending);
    }
    let insert = session.query(
        "insert into public.arxiv_closed_queries (query_uid, reason, message, http_status) values ($1, $2, $3, $4)",
    );
    insert
        .bind(uid)
        .bind(&closing.reason)
        .bind(&closing.message)
        .bind(closing.http_status.map(i32::from))
        .execute(session.on())
        .await?;
    Ok(Ending::Closed(closing.clone()))
}

/// Forgets closings that are a week old; how many.
pub(super) async fn prune(session: &mut Session) -> Result<u64, StorageError> {
    let prune = session.query_as::<(i64,)>("select public.prune_closed_queries()");
    let (pruned,) = prune.fetch_one(session.on()).await?;
    u64::try_from(pruned).map_err(|_| StorageError::Unreadable)
}
