//! How an object ended, as the database has it.

use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;

use super::{Ending, FailureRecord};
use crate::{QueryRow, StorageError, connection::Session};

/// Reads a row of `queries` (`recorded`) or a tombstone, of which the columns of the other are null. None where there is neither.
pub(crate) fn ending_of(row: &PgRow) -> Result<Option<Ending>, StorageError> {
    if row.try_get("recorded")? {
        return Ok(Some(Ending::Recorded(QueryRow {
            query_id: row.try_get("query_id")?,
            timestamp: row.try_get("timestamp")?,
            status: row.try_get("status")?,
            num_results: row.try_get("num_results")?,
            num_entries: row.try_get("num_entries")?,
            query: row.try_get("query")?,
        })));
    }
    let reason: Option<String> = row.try_get("reason")?;
    let message: Option<String> = row.try_get("message")?;
    let http_status: Option<i32> = row.try_get("http_status")?;
    Ok(reason.zip(message).map(|(reason, message)| {
        Ending::Failed(FailureRecord {
            reason,
            message,
            http_status: http_status.and_then(|status| u16::try_from(status).ok()),
        })
    }))
}

/// How the object ended in an earlier operation, if it has. Durable once the session is committed.
pub(super) async fn durable(session: &mut Session, uid: Uuid) -> Result<Option<Ending>, StorageError> {
    let ending = find(session, uid).await?;
    if ending.is_some() {
        session.await_durable().await?;
    }
    Ok(ending)
}

/// How the object ended, if it has: by its row in `queries`, or by its tombstone.
pub(super) async fn find(session: &mut Session, uid: Uuid) -> Result<Option<Ending>, StorageError> {
    // One statement, as every reconciliation of an object begins with it.
    let ending = session.query(
        "select q.query_uid is not null as recorded, q.query_id, q.timestamp, q.status::smallint,
                q.num_results::integer, q.num_entries::integer, q.query, t.reason, t.message, t.http_status
         from (select $1::uuid as uid) object
         left join public.queries q on q.query_uid = uid
         left join public.arxiv_query_tombstones t on t.query_uid = uid",
    );
    ending_of(&ending.bind(uid).fetch_one(session.conn()).await?)
}
