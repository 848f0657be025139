//! How an object ended, by its name, for when the object itself is gone.

use jiff::Timestamp;
use uuid::Uuid;

use super::{Reads, Retries};
use crate::{Ending, StorageError, connect::bounded, records::EndingRow, session::Session};

/// How an object of some name ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EndedQuery {
    /// The object's uid.
    pub uid: Uuid,
    /// When that was recorded, by the database's clock.
    pub recorded_at: Option<Timestamp>,
    /// With a record, or closed.
    pub ending: Ending,
}

#[derive(sqlx::FromRow)]
struct EndedRow {
    query_uid: Uuid,
    /// Of the epoch.
    micros: Option<i64>,
    #[sqlx(flatten)]
    ending: EndingRow,
}

impl Reads {
    /// How the object of this name ended; of several that had it one after the other, the one that ended last. None where none
    /// has ended, or what stood of it was removed for its age, or this replica has not got it.
    pub async fn ended(&self, namespace: &str, name: &str) -> Result<Option<EndedQuery>, StorageError> {
        let mut retries = Retries::default();
        loop {
            let read = bounded(self.read_ended(namespace, name)).await;
            if !retries.again(&read) {
                return read;
            }
        }
    }

    async fn read_ended(&self, namespace: &str, name: &str) -> Result<Option<EndedQuery>, StorageError> {
        let mut session = Session::statement(&self.queries).await?;
        // Chosen first, so that the order does not lead to a walk over all rows.
        let ended = session.query_as::<EndedRow>(
            "with recorded as materialized (
               select * from public.queries where object_name = $2 and object_namespace = $1),
             closed as materialized (
               select * from public.arxiv_query_tombstones where object_name = $2 and object_namespace = $1)
             select query_uid, (extract(epoch from recorded_at) * 1000000)::bigint as micros, true as recorded, query_id,
                    timestamp, status::smallint, num_results::integer, num_entries::integer, query,
                    null as reason, null as message, null::integer as http_status
             from recorded where query_uid is not null
             union all
             select query_uid, (extract(epoch from ended_at) * 1000000)::bigint, false, null, null, null, null, null, null,
                    reason, message, http_status
             from closed
             order by micros desc nulls last limit 1",
        );
        let ended = ended
            .bind(namespace)
            .bind(name)
            .fetch_optional(session.conn())
            .await?;
        session.commit().await?;
        let Some(row) = ended else {
            return Ok(None);
        };
        let ending = row.ending.ending()?.ok_or(StorageError::Unreadable)?;
        Ok(Some(EndedQuery {
            uid: row.query_uid,
            recorded_at: row
                .micros
                .and_then(|micros| Timestamp::from_microsecond(micros).ok()),
            ending,
        }))
    }
}
