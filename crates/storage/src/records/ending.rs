//! How an object ended, as the database has it: by its row in `queries`, or by its tombstone. An object with a tombstone gets no
//! rows later, however late a process comes with some.

use sqlx::{FromRow, Row, postgres::PgRow};
use uuid::Uuid;

use super::{Ending, FailureRecord, ObjectRef, Records};
use crate::{
    QueryRow, StorageError,
    connection::{Kind, Lock, Session},
};

/// Reads a row of `queries` (`recorded`) or a tombstone, of which the columns of the other are null. None where there is neither.
pub(crate) fn ending_of(row: &PgRow) -> Result<Option<Ending>, StorageError> {
    if row.try_get("recorded")? {
        return Ok(Some(Ending::Recorded(QueryRow::from_row(row)?)));
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

/// The columns that [`ending_of`] reads, of the tables in [`ending_tables`].
macro_rules! ending_columns {
    () => {
        "q.query_uid is not null as recorded, q.query_id, q.timestamp, q.status::smallint, q.num_results::integer,
         q.num_entries::integer, q.query, t.reason, t.message, t.http_status"
    };
}
pub(super) use ending_columns;

/// Joined to `object`, whose `uid` it is about.
macro_rules! ending_tables {
    () => {
        "left join public.queries q on q.query_uid = object.uid
         left join public.arxiv_query_tombstones t on t.query_uid = object.uid"
    };
}
pub(super) use ending_tables;

/// How the object ended in an earlier operation, if it has. Durable once the session is committed.
pub(super) async fn durable(session: &mut Session, uid: Uuid) -> Result<Option<Ending>, StorageError> {
    let ending = find(session, uid).await?;
    if ending.is_some() {
        session.await_durable().await?;
    }
    Ok(ending)
}

/// How the object ended, if it has.
pub(super) async fn find(session: &mut Session, uid: Uuid) -> Result<Option<Ending>, StorageError> {
    // One statement, as every reconciliation of an object begins with it.
    let ending = session.query(concat!(
        "select ",
        ending_columns!(),
        " from (select $1::uuid as uid) object ",
        ending_tables!()
    ));
    ending_of(&ending.bind(uid).fetch_one(session.conn()).await?)
}

impl Records {
    /// How an object ended, if it has.
    pub async fn find(&self, uid: Uuid) -> Result<Option<Ending>, StorageError> {
        Session::run(&self.queries, Kind::Statement, async |session| {
            durable(session, uid).await
        })
        .await
    }

    /// The last record of an object with the same names and the same search, whatever its uid: for an object that was restored from a
    /// backup, and so got another one.
    pub async fn find_before_restore(&self, object: &ObjectRef<'_>) -> Result<Option<Ending>, StorageError> {
        Session::run(&self.queries, Kind::Statement, async |session| {
            let last = session.query_as::<QueryRow>(
                "select query_id, timestamp, status::smallint, num_results::integer, num_entries::integer, query
                 from public.queries
                 where object_name = $2 and object_namespace = $1 and object_search = $3 and query_uid is not null
                 order by recorded_at desc nulls last, id desc limit 1",
            );
            let last = last.bind(object.namespace).bind(object.name).bind(object.search);
            let last = last.fetch_optional(session.conn()).await?;
            if last.is_some() {
                session.await_durable().await?;
            }
            Ok(last.map(Ending::Recorded))
        })
        .await
    }

    /// Ends an object without rows, unless it has ended already; how it ended then. It cannot be recorded afterwards.
    pub async fn write_tombstone(
        &self,
        object: &ObjectRef<'_>,
        failure: &FailureRecord,
    ) -> Result<Ending, StorageError> {
        Session::run_locked(&self.queries, &[Lock::of_uid(object.uid)], async |session| {
            if let Some(ending) = durable(session, object.uid).await? {
                return Ok(ending);
            }
            let insert = session.query(
                "insert into public.arxiv_query_tombstones
                   (query_uid, reason, message, http_status, object_namespace, object_name)
                 values ($1, $2, $3, $4, $5, $6)",
            );
            let insert = insert
                .bind(object.uid)
                .bind(&failure.reason)
                .bind(&failure.message);
            let insert = insert.bind(failure.http_status.map(i32::from));
            let insert = insert.bind(object.namespace).bind(object.name);
            insert.execute(session.conn()).await?;
            Ok(Ending::Failed(failure.clone()))
        })
        .await
    }
}
