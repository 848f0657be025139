//! Closed objects: they ended without rows, and get none later, however late a process comes with some.

use super::{Closing, Ending, Object, ending};
use crate::{StorageError, session::Session};

/// Closes the object unless it has an end already, on a session that holds the uid's lock; the end that stands there then.
pub(super) async fn close(
    session: &mut Session,
    object: &Object<'_>,
    closing: &Closing,
) -> Result<Ending, StorageError> {
    if let Some(ending) = ending::standing(session, object.uid).await? {
        return Ok(ending);
    }
    let insert = session.query(
        "insert into public.arxiv_closed_queries (query_uid, reason, message, http_status, object_namespace, object_name)
         values ($1, $2, $3, $4, $5, $6)",
    );
    insert
        .bind(object.uid)
        .bind(&closing.reason)
        .bind(&closing.message)
        .bind(closing.http_status.map(i32::from))
        .bind(object.namespace)
        .bind(object.name)
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
