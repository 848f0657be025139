//! The statements of a record, each on a session that holds its locks.

use futures::TryStreamExt;
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, FromRow, Row};
use uuid::Uuid;

use super::{
    Ending, Record,
    ending::{self, ending_columns, ending_of, ending_tables},
    feeds, papers,
};
use crate::{
    Paper, QueryRow, StorageError,
    connection::{Lock, Session, from_micros, sorted_locks},
    reads::paper_key::id_columns,
};

/// The tables of a database.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Tables {
    Both,
    Queries,
    Results,
}

/// What is in a database before an object is recorded there.
pub(super) struct Existing {
    /// How the object ended, if `queries` is there.
    pub(super) ending: Option<Ending>,
    /// Whether a foreign row (one that is not this object's) has the query id.
    pub(super) is_id_taken: bool,
    /// Results that the object has already, if `results` is there: how many, and their query id.
    pub(super) results: Option<(i32, i64)>,
    /// Whether all papers of the record are there, from the same answer of arXiv's or a later one. False where that was not looked up.
    pub(super) has_papers: bool,
    /// The database's clock.
    pub(super) now: Timestamp,
}

/// The locks of records that are written together, in the order in which every operation takes them: those of uids, of query ids, of
/// a feed, of the papers, and of one kind in the order of their keys.
pub(super) fn locks(records: &[Record<'_>], tables: Tables) -> Vec<Lock> {
    let uids = records.iter().map(|record| Lock::of_uid(record.object.uid));
    let ids = records.iter().map(|record| Lock::of_query_id(record.query_id));
    let mut locks = sorted_locks(uids);
    locks.extend(sorted_locks(ids));
    // The lock of the papers, which all records wait for, comes last: a run of a feed takes it after that of its feed.
    if tables != Tables::Queries && records.iter().all(|record| record.feed.is_none()) {
        let batches = records.iter().map(|record| record.papers.batch_count()).max();
        locks.push(papers::lock(batches.unwrap_or_default()));
    }
    locks
}

/// Reads all of it in one statement.
pub(super) async fn existing(
    session: &mut Session,
    record: &Record<'_>,
    tables: Tables,
) -> Result<Existing, StorageError> {
    let has_queries = tables != Tables::Results;
    let (ending, ending_tables) = if has_queries {
        (ending_columns!(), ending_tables!())
    } else {
        (
            "false as recorded, null as reason, null as message, null::integer as http_status",
            "",
        )
    };
    let (results, results_tables) = match (tables, record.feed) {
        (Tables::Queries, _) => ("null::integer as results, null::bigint as results_id", ""),
        (_, None) => (
            "nullif(r.results, 0) as results, r.results_id",
            "cross join lateral (select count(*)::integer as results, min(query_id) as results_id
               from public.results where query_uid = object.uid) r",
        ),
        // It may have no rows.
        (_, Some(_)) => (
            "r.new_items as results, r.query_id as results_id",
            "left join public.arxiv_feed_runs r on r.run_uid = object.uid",
        ),
    };
    let foreign = |table: &str| {
        format!(
            "exists (select from public.{table} where query_id = object.id and query_uid is distinct from object.uid)"
        )
    };
    let is_id_taken = match tables {
        Tables::Both => format!("{} or {}", foreign("queries"), foreign("results")),
        Tables::Queries => foreign("queries"),
        Tables::Results => foreign("results"),
    };
    // A run of a feed has papers that only its feed knows to be new.
    let papers = match (tables, record.feed) {
        (Tables::Queries, _) | (_, Some(_)) => None,
        _ => record.papers.in_memory(),
    };
    let has_papers = if papers.is_some() {
        papers::HAS_ALL
    } else {
        "false"
    };
    let sql = format!(
        "select {ending}, {is_id_taken} as is_id_taken, {results}, {has_papers} as has_papers,
           (extract(epoch from clock_timestamp()) * 1000000)::bigint as now
         from (select $1::uuid as uid, $2::bigint as id) object {ending_tables} {results_tables}"
    );
    let read = sqlx::query(AssertSqlSafe(sql)).persistent(session.is_persistent());
    let mut read = read.bind(record.object.uid).bind(record.query_id);
    if let Some((papers, fetched_at)) = papers {
        let (ids, versions) = id_columns(papers.iter().map(|paper| &paper.id));
        read = read.bind(ids).bind(versions).bind(fetched_at.as_microsecond());
    }
    let row = read.fetch_one(session.conn()).await?;
    let results: Option<i32> = row.try_get("results")?;
    Ok(Existing {
        ending: ending_of(&row)?,
        is_id_taken: row.try_get("is_id_taken")?,
        results: results.zip(row.try_get("results_id")?),
        has_papers: row.try_get("has_papers")?,
        now: from_micros(row.try_get("now")?)?,
    })
}

/// Whether a foreign row in `queries` has the query id.
pub(super) async fn query_has_id(session: &mut Session, record: &Record<'_>) -> Result<bool, StorageError> {
    Ok(existing(session, record, Tables::Queries).await?.is_id_taken)
}

/// Inserts the results, and the metadata of their papers; how many. `existing`: as it was read under the locks.
pub(super) async fn insert_results(
    session: &mut Session,
    record: &Record<'_>,
    existing: &Existing,
) -> Result<i32, StorageError> {
    let mut inserted = 0_i64;
    // One time for all, so that no reader who leaves out young rows sees a part of them.
    let (mut feed, recorded_at) = match record.feed {
        Some(run) => {
            let feed = feeds::Recording::begin(session, run, record.object.namespace).await?;
            session.lock(&[papers::lock(record.papers.batch_count())]).await?;
            (Some(feed), session.clock().await?)
        }
        None => (None, existing.now),
    };
    let mut batches = record.papers.batches();
    while let Some(batch) = batches.try_next().await? {
        if !existing.has_papers {
            papers::upsert(session, &papers::of_answer(&batch)).await?;
        }
        let rows: Vec<_> = match &mut feed {
            Some(feed) => feed
                .take(session, &batch.papers, batch.fetched_at)
                .await?
                .into_iter()
                .map(Paper::from)
                .collect(),
            None => batch.papers.iter().map(Paper::from).collect(),
        };
        let rows = (inserted..)
            .zip(&rows)
            .map(|(number, paper)| (record, number, paper));
        let rows: Vec<_> = rows.collect();
        inserted += insert_rows(session, &rows, recorded_at).await?;
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

/// Inserts rows in `results`, each a paper with its number in a record; how many.
pub(super) async fn insert_rows<'a>(
    session: &mut Session,
    rows: &[(&'a Record<'a>, i64, &'a Paper)],
    recorded_at: Timestamp,
) -> Result<i64, StorageError> {
    let text = |of: fn(&Paper) -> &str| rows.iter().map(|row| of(row.2)).collect::<Vec<_>>();
    let optional = |of: fn(&Paper) -> Option<&str>| rows.iter().map(|row| of(row.2)).collect::<Vec<_>>();
    let insert = session.query(
        "insert into public.results (query_id, timestamp, result_number, author, title, journal, query_uid, arxiv_id,
           categories, recorded_at)
         select query_id, timestamp, result_number, author, title, journal, query_uid, arxiv_id, categories,
           timestamptz 'epoch' + $10 * interval '1 microsecond'
         from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::text[],
           $9::text[]) with ordinality as r (query_id, timestamp, result_number, author, title, journal, query_uid, arxiv_id,
           categories, n)
         order by n",
    );
    let insert = insert
        .bind(rows.iter().map(|row| row.0.query_id).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.0.timestamp).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.1).collect::<Vec<_>>())
        .bind(text(|paper| &paper.author))
        .bind(text(|paper| &paper.title))
        .bind(text(|paper| &paper.journal))
        .bind(rows.iter().map(|row| row.0.object.uid).collect::<Vec<_>>())
        .bind(optional(|paper| paper.arxiv_id.as_deref()))
        .bind(optional(|paper| paper.categories.as_deref()))
        .bind(recorded_at.as_microsecond());
    let inserted = insert.execute(session.conn()).await?.rows_affected();
    i64::try_from(inserted).map_err(|_| StorageError::Unreadable)
}

/// Inserts the row in `queries`; how the object has ended then, as it is there. None when another object has the query id.
pub(super) async fn insert_query(
    session: &mut Session,
    record: &Record<'_>,
    query_id: i64,
    entries: i32,
) -> Result<Option<Ending>, StorageError> {
    let mut inserted = insert_queries(session, &[(record, query_id, entries)]).await?;
    if let Some((_, row)) = inserted.pop() {
        return Ok(Some(Ending::Recorded(row)));
    }
    let ending = ending::find(session, record.object.uid).await?;
    Ok(ending.filter(|ending| matches!(ending, Ending::Recorded(_))))
}

/// Inserts rows in `queries`, each of a record with its query id and the number of its results; those that are there then, by their
/// objects. One whose object or whose query id another row has is left out.
pub(super) async fn insert_queries<'a>(
    session: &mut Session,
    rows: &[(&'a Record<'a>, i64, i32)],
) -> Result<Vec<(Uuid, QueryRow)>, StorageError> {
    let insert = session.query(
        "insert into public.queries (query_id, timestamp, status, num_results, num_entries, query, query_uid,
           object_namespace, object_name, object_search)
         select query_id, timestamp, status, num_results, num_entries, query, query_uid, namespace, name, search
         from unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::integer[], $5::integer[], $6::text[], $7::uuid[], $8::text[],
           $9::text[], $10::text[]) with ordinality as q (query_id, timestamp, status, num_results, num_entries, query, query_uid,
           namespace, name, search, n)
         order by n
         on conflict do nothing
         returning query_uid, query_id, timestamp, status::smallint, num_results::integer, num_entries::integer, query",
    );
    let text = |of: fn(&'a Record<'a>) -> &'a str| rows.iter().map(|row| of(row.0)).collect::<Vec<_>>();
    let insert = insert
        .bind(rows.iter().map(|row| row.1).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.0.timestamp).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.0.status).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.0.num_results).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.2).collect::<Vec<_>>())
        .bind(text(|record| record.query))
        .bind(rows.iter().map(|row| row.0.object.uid).collect::<Vec<_>>())
        .bind(text(|record| record.object.namespace))
        .bind(text(|record| record.object.name))
        .bind(text(|record| record.object.search));
    let inserted = insert.fetch_all(session.conn()).await?;
    let inserted = inserted
        .iter()
        .map(|row| Ok((row.try_get("query_uid")?, QueryRow::from_row(row)?)));
    inserted.collect()
}
