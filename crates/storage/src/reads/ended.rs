//! How an object ended, by its name, for when the object itself no longer exists.

use jiff::Timestamp;
use sqlx::Row;
use uuid::Uuid;

use super::Reads;
use crate::{
    Ending, StorageError,
    connection::{Kind, Session},
    records::ending_of,
};

/// How an object of some name ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EndedQuery {
    /// The object's uid.
    pub uid: Uuid,
    /// When that was recorded, by the database's clock.
    pub recorded_at: Option<Timestamp>,
    /// With a record, or without rows.
    pub ending: Ending,
}

impl Reads {
    /// How the object of this name ended; of several that had it one after the other, the one that ended last. None where none
    /// has ended, or its row or tombstone was removed for its age, or this replica does not have it yet.
    pub async fn ended(&self, namespace: &str, name: &str) -> Result<Option<EndedQuery>, StorageError> {
        let row = Session::read(&self.queries, Kind::Statement, async |session| {
            // Chosen first, so that the planner does not read all rows in the order of their times.
            let ended = session.query(
                "with recorded as materialized (
                   select * from public.queries where object_name = $2 and object_namespace = $1),
                 failed as materialized (
                   select * from public.arxiv_query_tombstones where object_name = $2 and object_namespace = $1)
                 select query_uid, (extract(epoch from recorded_at) * 1000000)::bigint as micros, true as recorded, query_id,
                        timestamp, status::smallint, num_results::integer, num_entries::integer, query,
                        null as reason, null as message, null::integer as http_status
                 from recorded where query_uid is not null
                 union all
                 select query_uid, (extract(epoch from ended_at) * 1000000)::bigint, false, null, null, null, null, null, null,
                        reason, message, http_status
                 from failed
                 order by micros desc nulls last limit 1",
            );
            let ended = ended.bind(namespace).bind(name);
            Ok(ended.fetch_optional(session.conn()).await?)
        });
        let Some(row) = row.await? else {
            return Ok(None);
        };
        let micros: Option<i64> = row.try_get("micros")?;
        Ok(Some(EndedQuery {
            uid: row.try_get("query_uid")?,
            recorded_at: micros.and_then(|micros| Timestamp::from_microsecond(micros).ok()),
            ending: ending_of(&row)?.ok_or(StorageError::Unreadable)?,
        }))
    }
}
