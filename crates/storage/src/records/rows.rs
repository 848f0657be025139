//! The statements of a record, each on a session that holds its locks.

use futures::TryStreamExt;
use uuid::Uuid;

use super::{Ending, Record, Recorded, ending::ending};
use crate::{Paper, StorageError, session::Session};

/// Whether anybody else's row in `queries` has the number.
pub(super) async fn query_has_number(
    session: &mut Session,
    record: &Record<'_>,
) -> Result<bool, StorageError> {
    has_number(
        session,
        record,
        "select exists (select from public.queries where query_id = $1 and query_uid is distinct from $2)",
    )
    .await
}

/// Whether anybody else's row in `results` has the number.
pub(super) async fn result_has_number(
    session: &mut Session,
    record: &Record<'_>,
) -> Result<bool, StorageError> {
    has_number(
        session,
        record,
        "select exists (select from public.results where query_id = $1 and query_uid is distinct from $2)",
    )
    .await
}

async fn has_number(
    session: &mut Session,
    record: &Record<'_>,
    sql: &'static str,
) -> Result<bool, StorageError> {
    let taken = session
        .query_as::<(bool,)>(sql)
        .bind(record.query_id)
        .bind(record.object.uid);
    Ok(taken.fetch_one(session.conn()).await?.0)
}

/// Results of an object that stand there: how many, and their number.
pub(super) async fn standing_results(
    session: &mut Session,
    uid: Uuid,
) -> Result<Option<(i32, i64)>, StorageError> {
    let standing = session.query_as::<(i32, Option<i64>)>(
        "select count(*)::integer, min(query_id) from public.results where query_uid = $1",
    );
    let (count, number) = standing.bind(uid).fetch_one(session.conn()).await?;
    Ok(number.filter(|_| count > 0).map(|number| (count, number)))
}

/// Inserts the results unless the object has some; how many stand there then.
pub(super) async fn insert_results(session: &mut Session, record: &Record<'_>) -> Result<i32, StorageError> {
    if let Some((standing, _)) = standing_results(session, record.object.uid).await? {
        return Ok(standing);
    }
    let mut inserted = 0;
    let mut pieces = record.results.pieces();
    while let Some(piece) = pieces.try_next().await? {
        inserted += insert_piece(session, record, inserted, &piece).await?;
    }
    i32::try_from(inserted).map_err(|_| StorageError::Unreadable)
}

/// Inserts the papers that are numbered from `first` on; how many.
async fn insert_piece(
    session: &mut Session,
    record: &Record<'_>,
    first: u64,
    piece: &[Paper],
) -> Result<u64, StorageError> {
    let column = |field: fn(&Paper) -> &str| piece.iter().map(field).collect::<Vec<_>>();
    let insert = session.query(
        "insert into public.results (query_id, timestamp, result_number, author, title, journal, query_uid, arxiv_id,
           categories)
         select $1, $2, $7 + n - 1, author, title, journal, $3, nullif(arxiv_id, ''), nullif(categories, '')
         from unnest($4::text[], $5::text[], $6::text[], $8::text[], $9::text[]) with ordinality
           as r (author, title, journal, arxiv_id, categories, n)
         order by n",
    );
    let insert = insert
        .bind(record.query_id)
        .bind(record.timestamp)
        .bind(record.object.uid)
        .bind(column(|paper| &paper.row.author))
        .bind(column(|paper| &paper.row.title))
        .bind(column(|paper| &paper.row.journal))
        .bind(i64::try_from(first).map_err(|_| StorageError::Unreadable)?)
        .bind(column(|paper| &paper.arxiv_id))
        .bind(column(|paper| &paper.categories));
    Ok(insert.execute(session.conn()).await?.rows_affected())
}

/// Inserts the row in `queries` and reads back what stands there; None when another object has the number.
pub(super) async fn insert_query(
    session: &mut Session,
    record: &Record<'_>,
    number: i64,
    entries: i32,
) -> Result<Option<Recorded>, StorageError> {
    let insert = session.query(
        "insert into public.queries (query_id, timestamp, status, num_results, num_entries, query, query_uid,
           object_namespace, object_name)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing",
    );
    insert
        .bind(number)
        .bind(record.timestamp)
        .bind(record.status)
        .bind(record.num_results)
        .bind(entries)
        .bind(record.query)
        .bind(record.object.uid)
        .bind(record.object.namespace)
        .bind(record.object.name)
        .execute(session.conn())
        .await?;
    match ending(session, record.object.uid).await? {
        Some(Ending::Recorded(recorded)) => Ok(Some(recorded)),
        _ => Ok(None),
    }
}
