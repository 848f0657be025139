//! What stands of an object by its name, for when the object itself is gone.

use jiff::Timestamp;
use uuid::Uuid;

use super::{Reads, Retries};
use crate::{Recorded, StorageError, connect::bounded, session::Session};

/// What was recorded under an object's name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RecordedAs {
    /// The object's uid.
    pub uid: Uuid,
    /// When it was recorded, by the database's clock.
    pub recorded_at: Option<Timestamp>,
    /// What stands there.
    pub recorded: Recorded,
}

/// `query_uid`, microseconds, `query_id`, `timestamp`, `status`, `num_results`, `num_entries`, `query`.
type Row = (Uuid, Option<i64>, i64, i64, i16, i32, i32, String);

impl Reads {
    /// What was recorded under this name; of several objects that had it one after the other, the latest. None where there is
    /// nothing, or this replica has not got it.
    pub async fn recorded_as(&self, namespace: &str, name: &str) -> Result<Option<RecordedAs>, StorageError> {
        let mut retries = Retries::default();
        loop {
            let read = bounded(self.read_recorded_as(namespace, name)).await;
            if !retries.again(&read) {
                return read;
            }
        }
    }

    async fn read_recorded_as(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<RecordedAs>, StorageError> {
        let mut session = Session::read(&self.queries).await?;
        // Chosen first, so that the order by id does not lead to a walk over all rows.
        let recorded = session.query_as::<Row>(
            "with named as materialized (
               select * from public.queries where object_name = $2 and object_namespace = $1)
             select query_uid, (extract(epoch from recorded_at) * 1000000)::bigint, query_id, timestamp, status::smallint,
                    num_results::integer, num_entries::integer, query
             from named where query_uid is not null order by id desc limit 1",
        );
        let recorded = recorded
            .bind(namespace)
            .bind(name)
            .fetch_optional(session.on())
            .await?;
        session.done().await?;
        Ok(recorded.map(
            |(uid, micros, query_id, timestamp, status, num_results, num_entries, query)| RecordedAs {
                uid,
                recorded_at: micros.and_then(|micros| Timestamp::from_microsecond(micros).ok()),
                recorded: Recorded {
                    query_id,
                    timestamp,
                    status,
                    num_results,
                    num_entries,
                    query,
                },
            },
        ))
    }
}
