//! Writes of clients that bring their own query id (the `/write-*` endpoints).
//!
//! The tables have no key that could refuse a repeated write (the existing service's rows may be doubled), so each write reads
//! first, under the lock of the query id, which objects' records take too.

use super::statements::texts;
use crate::{
    Paper, QueryRow, StorageError,
    connection::{Kind, Lock, Pool, Session, bounded},
};

/// What became of a write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WriteOutcome {
    /// The rows are new.
    Written,
    /// The same content was there already.
    AlreadyThere,
    /// The query id has other content, or belongs to an object.
    Conflict,
}

/// Writes for the user `arxiv_rw`.
#[derive(Clone, Debug)]
pub struct Writes {
    queries: Pool,
    results: Pool,
    split: bool,
}

/// Rows that one statement writes.
const ROWS_PER_STATEMENT: usize = 2000;
const OBJECT_HAS_QUERY: &str =
    "select exists (select from public.queries where query_id = $1 and query_uid is not null)";
const OBJECT_HAS_RESULT: &str =
    "select exists (select from public.results where query_id = $1 and query_uid is not null)";

impl Writes {
    /// Writes to the two tables. `split`: they are in different databases.
    pub fn new(queries: Pool, results: Pool, split: bool) -> Self {
        Self {
            queries,
            results,
            split,
        }
    }

    /// Writes one query.
    pub async fn query(&self, row: &QueryRow) -> Result<WriteOutcome, StorageError> {
        let (own, other) = (
            (&self.queries, OBJECT_HAS_QUERY),
            (&self.results, OBJECT_HAS_RESULT),
        );
        self.write(row.query_id, own, other, async |session| {
            write_query(session, row).await
        })
        .await
    }

    /// Writes all results of a query (numbered from 0, as the existing service does), or none. Of each paper, author, title and
    /// journal.
    pub async fn results(
        &self,
        query_id: i64,
        timestamp: i64,
        papers: &[Paper],
    ) -> Result<WriteOutcome, StorageError> {
        let (own, other) = (
            (&self.results, OBJECT_HAS_RESULT),
            (&self.queries, OBJECT_HAS_QUERY),
        );
        self.write(query_id, own, other, async |session| {
            write_results(session, query_id, timestamp, papers).await
        })
        .await
    }

    /// A write to one of the tables, unless an object has the query id in either of them: each comes with the statement that finds
    /// that out.
    async fn write(
        &self,
        query_id: i64,
        (own, own_sql): (&Pool, &'static str),
        (other, other_sql): (&Pool, &'static str),
        write: impl AsyncFnOnce(&mut Session) -> Result<WriteOutcome, StorageError>,
    ) -> Result<WriteOutcome, StorageError> {
        bounded(async {
            if self.split {
                let mut session = Session::open(other, Kind::Statement).await?;
                if object_has(&mut session, other_sql, query_id).await? {
                    return Ok(WriteOutcome::Conflict);
                }
            }
            let mut session = Session::open_locked(own, &[Lock::of_query_id(query_id)]).await?;
            if object_has(&mut session, own_sql, query_id).await?
                || !self.split && object_has(&mut session, other_sql, query_id).await?
            {
                return Ok(WriteOutcome::Conflict);
            }
            let outcome = write(&mut session).await?;
            if outcome == WriteOutcome::AlreadyThere {
                session.await_durable().await?;
            }
            session.commit().await?;
            Ok(outcome)
        })
        .await
    }
}

/// Whether an object has the query id.
async fn object_has(session: &mut Session, sql: &'static str, query_id: i64) -> Result<bool, StorageError> {
    Ok(session
        .query_scalar(sql)
        .bind(query_id)
        .fetch_one(session.conn())
        .await?)
}

/// What becomes of a write, by whether the rows that are there already are the same.
fn outcome(same: Option<bool>) -> WriteOutcome {
    match same {
        None => WriteOutcome::Written,
        Some(true) => WriteOutcome::AlreadyThere,
        Some(false) => WriteOutcome::Conflict,
    }
}

async fn write_query(session: &mut Session, row: &QueryRow) -> Result<WriteOutcome, StorageError> {
    let write = session.query_scalar(
        "with existing as (
           select bool_or((timestamp, status, num_results, num_entries, query) is not distinct from ($2, $3, $4, $5, $6)) as same
           from public.queries where query_id = $1),
         inserted as (
           insert into public.queries (query_id, timestamp, status, num_results, num_entries, query)
           select $1, $2, $3, $4, $5, $6 from existing where same is null)
         select same from existing",
    );
    let write = write.bind(row.query_id).bind(row.timestamp).bind(row.status);
    let write = write.bind(row.num_results).bind(row.num_entries).bind(&row.query);
    Ok(outcome(write.fetch_one(session.conn()).await?))
}

async fn write_results(
    session: &mut Session,
    query_id: i64,
    timestamp: i64,
    papers: &[Paper],
) -> Result<WriteOutcome, StorageError> {
    let [author, title, journal] = texts(papers);
    // As sets: rows that the existing service doubled are the same content. EXCEPT takes nulls for equal.
    let same = session.query_scalar(
        "with existing as (
           select timestamp, result_number::bigint, author, title, journal from public.results where query_id = $1),
         sent as (
           select $2::bigint, n - 1, author, title, journal
           from unnest($3::text[], $4::text[], $5::text[]) with ordinality as r (author, title, journal, n))
         select case when exists (select from existing) then
                not exists (table sent except table existing) and not exists (table existing except table sent) end",
    );
    let same = same
        .bind(query_id)
        .bind(timestamp)
        .bind(author)
        .bind(title)
        .bind(journal);
    let outcome = outcome(same.fetch_one(session.conn()).await?);
    if outcome != WriteOutcome::Written {
        return Ok(outcome);
    }
    // One time for all, so that no reader who leaves out young rows sees a part of them.
    let recorded_at = session.clock().await?.as_microsecond();
    // The index of words makes each row slow: a statement of all of them might exceed the statement timeout.
    let starts = (0i64..).step_by(ROWS_PER_STATEMENT);
    for (start, papers) in starts.zip(papers.chunks(ROWS_PER_STATEMENT)) {
        let [author, title, journal] = texts(papers);
        let insert = session.query(
            "insert into public.results (query_id, timestamp, result_number, author, title, journal, recorded_at)
             select $1, $2, $3 + n - 1, author, title, journal, timestamptz 'epoch' + $7 * interval '1 microsecond'
             from unnest($4::text[], $5::text[], $6::text[]) with ordinality as r (author, title, journal, n)
             order by n",
        );
        let insert = insert.bind(query_id).bind(timestamp).bind(start);
        insert
            .bind(author)
            .bind(title)
            .bind(journal)
            .bind(recorded_at)
            .execute(session.conn())
            .await?;
    }
    Ok(outcome)
}
