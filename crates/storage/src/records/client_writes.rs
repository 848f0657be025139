//! Writes of clients that bring their own query id (the `/write-*` endpoints).
//!
//! The tables have no key that could refuse a repeated write (the existing service's rows may be doubled), so each write reads
//! first, under the lock of the query id, which objects' records take too.

use sqlx::{PgPool, postgres::PgConnectOptions};

use crate::{
    Paper, QueryRow, StorageError,
    connection::{Kind, Session, bounded, lock_query_id},
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
    queries: PgPool,
    results: PgPool,
}

/// Rows that one statement writes.
const ROWS_PER_STATEMENT: usize = 2000;
const OBJECT_HAS_QUERY: &str =
    "select exists (select from public.queries where query_id = $1 and query_uid is not null)";
const OBJECT_HAS_RESULT: &str =
    "select exists (select from public.results where query_id = $1 and query_uid is not null)";

impl Writes {
    /// Writes to the two tables, which may be in different databases.
    pub fn new(queries: PgPool, results: PgPool) -> Self {
        Self { queries, results }
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

    /// A write to one of the tables, unless an object has the query id in either of them. Each comes with the statement that tells.
    async fn write(
        &self,
        query_id: i64,
        (own, own_sql): (&PgPool, &'static str),
        (other, other_sql): (&PgPool, &'static str),
        write: impl AsyncFnOnce(&mut Session) -> Result<WriteOutcome, StorageError>,
    ) -> Result<WriteOutcome, StorageError> {
        let is_split = self.is_split();
        bounded(async {
            if is_split {
                let mut session = Session::open(other, Kind::Statement).await?;
                if object_has(&mut session, other_sql, query_id).await? {
                    return Ok(WriteOutcome::Conflict);
                }
            }
            let mut session = Session::open(own, Kind::Transaction).await?;
            lock_query_id(&mut session, query_id).await?;
            if object_has(&mut session, own_sql, query_id).await?
                || !is_split && object_has(&mut session, other_sql, query_id).await?
            {
                return Ok(WriteOutcome::Conflict);
            }
            let outcome = write(&mut session).await?;
            session.commit().await?;
            Ok(outcome)
        })
        .await
    }

    /// Whether one transaction cannot see both tables.
    fn is_split(&self) -> bool {
        let database = |options: &PgConnectOptions| {
            (
                options.get_host().to_owned(),
                options.get_port(),
                options.get_database().map(str::to_owned),
            )
        };
        database(&self.queries.connect_options()) != database(&self.results.connect_options())
    }
}

/// Whether an object has the query id.
async fn object_has(session: &mut Session, sql: &'static str, query_id: i64) -> Result<bool, StorageError> {
    let exists = session.query_as::<(bool,)>(sql).bind(query_id);
    Ok(exists.fetch_one(session.conn()).await?.0)
}

async fn write_query(session: &mut Session, row: &QueryRow) -> Result<WriteOutcome, StorageError> {
    let same = session.query_as::<(Option<bool>,)>(
        "select bool_or((timestamp, status, num_results, num_entries, query) is not distinct from ($2, $3, $4, $5, $6))
         from public.queries where query_id = $1",
    );
    let same = same
        .bind(row.query_id)
        .bind(row.timestamp)
        .bind(row.status)
        .bind(row.num_results)
        .bind(row.num_entries)
        .bind(&row.query);
    match same.fetch_one(session.conn()).await? {
        (Some(true),) => {
            session.await_durable().await?;
            return Ok(WriteOutcome::AlreadyThere);
        }
        (Some(false),) => return Ok(WriteOutcome::Conflict),
        (None,) => {}
    }
    let insert = session.query(
        "insert into public.queries (query_id, timestamp, status, num_results, num_entries, query)
         values ($1, $2, $3, $4, $5, $6)",
    );
    insert
        .bind(row.query_id)
        .bind(row.timestamp)
        .bind(row.status)
        .bind(row.num_results)
        .bind(row.num_entries)
        .bind(&row.query)
        .execute(session.conn())
        .await?;
    Ok(WriteOutcome::Written)
}

async fn write_results(
    session: &mut Session,
    query_id: i64,
    timestamp: i64,
    papers: &[Paper],
) -> Result<WriteOutcome, StorageError> {
    let column = |of: fn(&Paper) -> &str| papers.iter().map(of).collect::<Vec<_>>();
    // As sets: rows that the existing service doubled are the same content. EXCEPT takes nulls for equal.
    let same = session.query_as::<(bool, bool)>(
        "with existing as (
           select timestamp, result_number::bigint, author, title, journal from public.results where query_id = $1),
         sent as (
           select $2::bigint, n - 1, author, title, journal
           from unnest($3::text[], $4::text[], $5::text[]) with ordinality as r (author, title, journal, n))
         select exists (select from existing),
                not exists (table sent except table existing) and not exists (table existing except table sent)",
    );
    let same = same
        .bind(query_id)
        .bind(timestamp)
        .bind(column(|paper| &paper.author))
        .bind(column(|paper| &paper.title))
        .bind(column(|paper| &paper.journal));
    match same.fetch_one(session.conn()).await? {
        (true, true) => {
            session.await_durable().await?;
            return Ok(WriteOutcome::AlreadyThere);
        }
        (true, false) => return Ok(WriteOutcome::Conflict),
        (false, _) => {}
    }
    // The index of words makes each row slow: a statement of all of them might exceed the statement timeout.
    let starts = (0i64..).step_by(ROWS_PER_STATEMENT);
    for (start, papers) in starts.zip(papers.chunks(ROWS_PER_STATEMENT)) {
        let column = |of: fn(&Paper) -> &str| papers.iter().map(of).collect::<Vec<_>>();
        let insert = session.query(
            "insert into public.results (query_id, timestamp, result_number, author, title, journal)
             select $1, $2, $3 + n - 1, author, title, journal
             from unnest($4::text[], $5::text[], $6::text[]) with ordinality as r (author, title, journal, n)
             order by n",
        );
        let insert = insert
            .bind(query_id)
            .bind(timestamp)
            .bind(start)
            .bind(column(|paper| &paper.author))
            .bind(column(|paper| &paper.title))
            .bind(column(|paper| &paper.journal));
        insert.execute(session.conn()).await?;
    }
    Ok(WriteOutcome::Written)
}
