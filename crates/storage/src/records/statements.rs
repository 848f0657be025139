//! The statements of a record, each on a session that holds its locks.

use futures::TryStreamExt;
use jiff::Timestamp;

use super::{
    Ending, Record, ending, feeds,
    papers::{self, Writers},
};
use crate::{Paper, StorageError, connection::Session};

/// Whether a foreign row in `queries` (one that is not this object's) has the query id.
pub(super) async fn query_has_id(session: &mut Session, record: &Record<'_>) -> Result<bool, StorageError> {
    let sql =
        "select exists (select from public.queries where query_id = $1 and query_uid is distinct from $2)";
    has_id(session, record, sql).await
}

/// The same for `results`.
pub(super) async fn result_has_id(session: &mut Session, record: &Record<'_>) -> Result<bool, StorageError> {
    let sql =
        "select exists (select from public.results where query_id = $1 and query_uid is distinct from $2)";
    has_id(session, record, sql).await
}

async fn has_id(session: &mut Session, record: &Record<'_>, sql: &'static str) -> Result<bool, StorageError> {
    let taken = session
        .query_scalar(sql)
        .bind(record.query_id)
        .bind(record.object.uid);
    Ok(taken.fetch_one(session.conn()).await?)
}

/// Results that an object has already: how many, and their query id.
pub(super) async fn existing_results(
    session: &mut Session,
    record: &Record<'_>,
) -> Result<Option<(i32, i64)>, StorageError> {
    if record.feed.is_some() {
        // It may have no rows.
        return feeds::recorded(session, record.object.uid).await;
    }
    let existing = session.query_as::<(i32, Option<i64>)>(
        "select count(*)::integer, min(query_id) from public.results where query_uid = $1",
    );
    let (count, query_id) = existing.bind(record.object.uid).fetch_one(session.conn()).await?;
    Ok(query_id.filter(|_| count > 0).map(|query_id| (count, query_id)))
}

/// Inserts the results, and the metadata of their papers, unless the object has some; how many it has then.
pub(super) async fn insert_results(session: &mut Session, record: &Record<'_>) -> Result<i32, StorageError> {
    if let Some((existing, _)) = existing_results(session, record).await? {
        return Ok(existing);
    }
    let mut inserted = 0;
    // Before the lock of the papers, which all records wait for.
    let mut feed = match record.feed {
        Some(run) => Some(feeds::Recording::begin(session, run, record.object.namespace).await?),
        None => None,
    };
    // One time for all, so that no reader who leaves out young rows sees a part of them.
    let recorded_at = session.clock().await?;
    let writers = match record.papers.batch_count() {
        0 | 1 => Writers::Shared,
        _ => Writers::Alone,
    };
    papers::lock(session, writers).await?;
    let mut batches = record.papers.batches();
    while let Some(batch) = batches.try_next().await? {
        papers::upsert(session, &batch).await?;
        let rows: Vec<_> = match &mut feed {
            Some(feed) => feed
                .take(session, &batch.papers, batch.fetched_at)
                .await?
                .into_iter()
                .map(Paper::from)
                .collect(),
            None => batch.papers.iter().map(Paper::from).collect(),
        };
        inserted += insert_batch(session, record, recorded_at, inserted, &rows).await?;
    }
    if let Some(feed) = feed {
        feed.end(session, record.object.uid, record.query_id, recorded_at)
            .await?;
    }
    i32::try_from(inserted).map_err(|_| StorageError::Unreadable)
}

/// The three texts that all writers of papers store, each as a column.
pub(super) fn texts(papers: &[Paper]) -> [Vec<&str>; 3] {
    let column = |of: fn(&Paper) -> &str| papers.iter().map(of).collect();
    [
        column(|paper| &paper.author),
        column(|paper| &paper.title),
        column(|paper| &paper.journal),
    ]
}

/// Inserts the papers that are numbered from `first` on; how many.
async fn insert_batch(
    session: &mut Session,
    record: &Record<'_>,
    recorded_at: Timestamp,
    first: u64,
    batch: &[Paper],
) -> Result<u64, StorageError> {
    let [author, title, journal] = texts(batch);
    let optional = |field: fn(&Paper) -> Option<&str>| batch.iter().map(field).collect::<Vec<_>>();
    let insert = session.query(
        "insert into public.results (query_id, timestamp, result_number, author, title, journal, query_uid, arxiv_id,
           categories, recorded_at)
         select $1, $2, $7 + n - 1, author, title, journal, $3, arxiv_id, categories,
           timestamptz 'epoch' + $10 * interval '1 microsecond'
         from unnest($4::text[], $5::text[], $6::text[], $8::text[], $9::text[]) with ordinality
           as r (author, title, journal, arxiv_id, categories, n)
         order by n",
    );
    let insert = insert
        .bind(record.query_id)
        .bind(record.timestamp)
        .bind(record.object.uid)
        .bind(author)
        .bind(title)
        .bind(journal)
        .bind(i64::try_from(first).map_err(|_| StorageError::Unreadable)?)
        .bind(optional(|paper| paper.arxiv_id.as_deref()))
        .bind(optional(|paper| paper.categories.as_deref()))
        .bind(recorded_at.as_microsecond());
    Ok(insert.execute(session.conn()).await?.rows_affected())
}

/// Inserts the row in `queries` and reads back how the object has ended; None when another object has the query id.
pub(super) async fn insert_query(
    session: &mut Session,
    record: &Record<'_>,
    query_id: i64,
    entries: i32,
) -> Result<Option<Ending>, StorageError> {
    let insert = session.query(
        "insert into public.queries (query_id, timestamp, status, num_results, num_entries, query, query_uid,
           object_namespace, object_name, object_search)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict do nothing",
    );
    insert
        .bind(query_id)
        .bind(record.timestamp)
        .bind(record.status)
        .bind(record.num_results)
        .bind(entries)
        .bind(record.query)
        .bind(record.object.uid)
        .bind(record.object.namespace)
        .bind(record.object.name)
        .bind(record.object.search)
        .execute(session.conn())
        .await?;
    let ending = ending::find(session, record.object.uid).await?;
    Ok(ending.filter(|ending| matches!(ending, Ending::Recorded(_))))
}
