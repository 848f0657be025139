//! Writes of clients that bring their own number (the `/write-*` endpoints).
//!
//! The tables have no key that could refuse a repeated write (the existing service's rows may be doubled), so each write looks
//! first, under the number's lock, which objects' records take too.

use sqlx::{PgPool, postgres::PgConnectOptions};

use crate::{ResultRow, StorageError, connect::bounded, locks::lock_number, session::Session};

/// A row of `queries` as a client sends it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct QueryRow {
    /// The query's number.
    pub query_id: i64,
    /// Unix seconds.
    pub timestamp: i64,
    /// The upstream's HTTP status.
    pub status: i16,
    /// Papers found in all.
    pub num_results: i32,
    /// Papers recorded.
    pub num_entries: i16,
    /// The query as arXiv understood it.
    pub query: String,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WriteOutcome {
    /// The rows are new.
    Written,
    /// The same content was there already.
    AlreadyThere,
    /// The number has other content, or belongs to an object.
    Conflict,
}

/// Writes for the user `arxiv_rw`.
#[derive(Clone, Debug)]
pub struct Writes {
    queries: PgPool,
    results: PgPool,
}

/// Rows that are written by one statement.
const ROWS_OF_A_STATEMENT: usize = 2000;
const OWNED_QUERY: &str =
    "select exists (select from public.queries where query_id = $1 and query_uid is not null)";
const OWNED_RESULT: &str =
    "select exists (select from public.results where query_id = $1 and query_uid is not null)";

impl Writes {
    /// Writes to the two tables, which may be in different databases.
    pub fn new(queries: PgPool, results: PgPool) -> Self {
        Self { queries, results }
    }

    /// Writes one query.
    pub async fn query(&self, row: &QueryRow) -> Result<WriteOutcome, StorageError> {
        bounded(async {
            if self.is_split()
                && owned(
                    &mut Session::statement(&self.results).await?,
                    OWNED_RESULT,
                    row.query_id,
                )
                .await?
            {
                return Ok(WriteOutcome::Conflict);
            }
            let mut session = Session::transaction(&self.queries).await?;
            lock_number(&mut session, row.query_id).await?;
            if owned(&mut session, OWNED_QUERY, row.query_id).await?
                || !self.is_split() && owned(&mut session, OWNED_RESULT, row.query_id).await?
            {
                return Ok(WriteOutcome::Conflict);
            }
            let outcome = write_query(&mut session, row).await?;
            session.commit().await?;
            Ok(outcome)
        })
        .await
    }

    /// Writes all results of a query (numbered from 0, as the existing service does), or none.
    pub async fn results(
        &self,
        query_id: i64,
        timestamp: i64,
        rows: &[ResultRow],
    ) -> Result<WriteOutcome, StorageError> {
        bounded(async {
            if self.is_split()
                && owned(
                    &mut Session::statement(&self.queries).await?,
                    OWNED_QUERY,
                    query_id,
                )
                .await?
            {
                return Ok(WriteOutcome::Conflict);
            }
            let mut session = Session::transaction(&self.results).await?;
            lock_number(&mut session, query_id).await?;
            if owned(&mut session, OWNED_RESULT, query_id).await?
                || !self.is_split() && owned(&mut session, OWNED_QUERY, query_id).await?
            {
                return Ok(WriteOutcome::Conflict);
            }
            let outcome = write_results(&mut session, query_id, timestamp, rows).await?;
            session.commit().await?;
            Ok(outcome)
        })
        .await
    }

    /// Whether one transaction cannot see both tables.
    fn is_split(&self) -> bool {
        let (queries, results) = (self.queries.connect_options(), self.results.connect_options());
        let place = |options: &PgConnectOptions| {
            (
                options.get_host().to_owned(),
                options.get_port(),
                options.get_database().map(str::to_owned),
            )
        };
        place(&queries) != place(&results)
    }
}

/// Whether an object owns the number.
async fn owned(session: &mut Session, sql: &'static str, number: i64) -> Result<bool, StorageError> {
    Ok(session
        .query_as::<(bool,)>(sql)
        .bind(number)
        .fetch_one(session.conn())
        .await?
        .0)
}

async fn write_query(session: &mut Session, row: &QueryRow) -> Result<WriteOutcome, StorageError> {
    let look = session.query_as::<(Option<bool>,)>(
        "select bool_or((timestamp, status, num_results, num_entries, query) is not distinct from ($2, $3, $4, $5, $6))
         from public.queries where query_id = $1",
    );
    let look = look
        .bind(row.query_id)
        .bind(row.timestamp)
        .bind(row.status)
        .bind(row.num_results)
        .bind(row.num_entries)
        .bind(&row.query);
    match look.fetch_one(session.conn()).await? {
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
    rows: &[ResultRow],
) -> Result<WriteOutcome, StorageError> {
    let author: Vec<_> = rows.iter().map(|row| row.author.as_str()).collect();
    let title: Vec<_> = rows.iter().map(|row| row.title.as_str()).collect();
    let journal: Vec<_> = rows.iter().map(|row| row.journal.as_str()).collect();
    // As sets: rows that the existing service doubled are the same content. EXCEPT takes nulls for equal.
    let look = session.query_as::<(bool, bool)>(
        "with standing as (
           select timestamp, result_number::bigint, author, title, journal from public.results where query_id = $1),
         given as (
           select $2::bigint, n - 1, author, title, journal
           from unnest($3::text[], $4::text[], $5::text[]) with ordinality as r (author, title, journal, n))
         select exists (select from standing),
                not exists (table given except table standing) and not exists (table standing except table given)",
    );
    let look = look
        .bind(query_id)
        .bind(timestamp)
        .bind(&author)
        .bind(&title)
        .bind(&journal);
    match look.fetch_one(session.conn()).await? {
        (true, true) => {
            session.await_durable().await?;
            return Ok(WriteOutcome::AlreadyThere);
        }
        (true, false) => return Ok(WriteOutcome::Conflict),
        (false, _) => {}
    }
    // The index of words makes each row cost: a statement of all of them might not be done in a statement's time.
    let starts = (0i64..).step_by(ROWS_OF_A_STATEMENT);
    for (start, rows) in starts.zip(rows.chunks(ROWS_OF_A_STATEMENT)) {
        let insert = session.query(
            "insert into public.results (query_id, timestamp, result_number, author, title, journal)
             select $1, $2, $3 + n - 1, author, title, journal
             from unnest($4::text[], $5::text[], $6::text[]) with ordinality as r (author, title, journal, n)
             order by n",
        );
        let column = |of: fn(&ResultRow) -> &str| rows.iter().map(of).collect::<Vec<_>>();
        let insert = insert
            .bind(query_id)
            .bind(timestamp)
            .bind(start)
            .bind(column(|row| &row.author))
            .bind(column(|row| &row.title))
            .bind(column(|row| &row.journal));
        insert.execute(session.conn()).await?;
    }
    Ok(WriteOutcome::Written)
}
