//! How an object ended, as the database tells it.

use uuid::Uuid;

use super::{Ending, FailureRecord, Recorded};
use crate::{StorageError, session::Session};

/// A row of `queries`, or a closing: the columns of the other are null.
#[derive(sqlx::FromRow)]
pub(crate) struct EndingRow {
    /// Whether it is a row of `queries`.
    recorded: bool,
    query_id: Option<i64>,
    timestamp: Option<i64>,
    status: Option<i16>,
    num_results: Option<i32>,
    num_entries: Option<i32>,
    query: Option<String>,
    reason: Option<String>,
    message: Option<String>,
    http_status: Option<i32>,
}

impl EndingRow {
    /// None where there is neither.
    pub(crate) fn ending(self) -> Result<Option<Ending>, StorageError> {
        if self.recorded {
            return Ok(Some(Ending::Recorded(
                self.record().ok_or(StorageError::Unreadable)?,
            )));
        }
        let Some((reason, message)) = self.reason.zip(self.message) else {
            return Ok(None);
        };
        Ok(Some(Ending::Failed(FailureRecord {
            reason,
            message,
            http_status: self.http_status.and_then(|status| u16::try_from(status).ok()),
        })))
    }

    fn record(self) -> Option<Recorded> {
        Some(Recorded {
            query_id: self.query_id?,
            timestamp: self.timestamp?,
            status: self.status?,
            num_results: self.num_results?,
            num_entries: self.num_entries?,
            query: self.query?,
        })
    }
}

/// How the object ended in an earlier operation, if it has, to be told once this one is done.
pub(super) async fn standing(session: &mut Session, uid: Uuid) -> Result<Option<Ending>, StorageError> {
    let ending = ending(session, uid).await?;
    if ending.is_some() {
        session.await_durable().await?;
    }
    Ok(ending)
}

/// How the object ended, if it has: by its row in `queries`, or by being closed.
pub(super) async fn ending(session: &mut Session, uid: Uuid) -> Result<Option<Ending>, StorageError> {
    // One statement, as it is asked for at every look at an object.
    let ending = session.query_as::<EndingRow>(
        "select q.query_uid is not null as recorded, q.query_id, q.timestamp, q.status::smallint,
                q.num_results::integer, q.num_entries::integer, q.query, c.reason, c.message, c.http_status
         from (select $1::uuid as uid) object
         left join public.queries q on q.query_uid = uid
         left join public.arxiv_query_tombstones c on c.query_uid = uid",
    );
    ending.bind(uid).fetch_one(session.conn()).await?.ending()
}
