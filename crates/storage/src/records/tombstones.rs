//! Tombstones of objects that ended without rows: they get none later, however late a process comes with some.

use super::{Ending, FailureRecord, ObjectRef, ending};
use crate::{StorageError, connection::Session};

/// Writes a tombstone unless the object has ended already, on a session that holds the uid's lock; how it ended then.
pub(super) async fn write(
    session: &mut Session,
    object: &ObjectRef<'_>,
    failure: &FailureRecord,
) -> Result<Ending, StorageError> {
    if let Some(ending) = ending::durable(session, object.uid).await? {
        return Ok(ending);
    }
    let insert = session.query(
        "insert into public.arxiv_query_tombstones
           (query_uid, reason, message, http_status, object_namespace, object_name)
         values ($1, $2, $3, $4, $5, $6)",
    );
    insert
        .bind(object.uid)
        .bind(&failure.reason)
        .bind(&failure.message)
        .bind(failure.http_status.map(i32::from))
        .bind(object.namespace)
        .bind(object.name)
        .execute(session.conn())
        .await?;
    Ok(Ending::Failed(failure.clone()))
}

/// Deletes tombstones that are a week old; how many.
pub(super) async fn prune(session: &mut Session) -> Result<u64, StorageError> {
    let prune = session.query_as::<(i64,)>("select public.prune_query_tombstones()");
    let (pruned,) = prune.fetch_one(session.conn()).await?;
    u64::try_from(pruned).map_err(|_| StorageError::Unreadable)
}
