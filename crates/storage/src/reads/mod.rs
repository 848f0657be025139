//! What clients read.

mod of_query;

use std::{collections::VecDeque, time::Duration};

use futures::stream::{self, BoxStream, StreamExt};
use sqlx::PgPool;

use crate::{ResultRow, StorageError, connect::bounded, session::Session, time::micros};

/// Rows of one batch of a stream: with queries of the longest kind (a few KB each) still a few MB.
const BATCH: i64 = 1000;
/// A replica cancels a read that stands in the way of its recovery; the next try usually meets none.
const RETRIES: u32 = 2;

/// A row of `queries` as clients read it. Rows without a timestamp are never read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReadQuery {
    /// The query as arXiv understood it.
    pub query: Option<String>,
    /// Unix seconds.
    pub timestamp: i64,
    /// The upstream's HTTP status.
    pub status: Option<i16>,
    /// Papers found in all.
    pub num_results: Option<i32>,
}

/// Reads for the user `arxiv_ro`, from replicas.
#[derive(Clone, Debug)]
pub struct Reads {
    queries: PgPool,
    results: PgPool,
    settle: Option<Duration>,
}

impl Reads {
    /// `settle`: leave out rows recorded less than this ago (where the two tables are in different systems).
    pub fn new(queries: PgPool, results: PgPool, settle: Option<Duration>) -> Self {
        Self {
            queries,
            results,
            settle,
        }
    }

    /// Queries from `start` to `end` (unix seconds, both inclusive; open without an end), ascending by timestamp, then by
    /// insertion. Read in batches: neither memory nor a connection is held for the whole. Ends after an error.
    pub fn queries(
        &self,
        start: i64,
        end: Option<i64>,
    ) -> BoxStream<'static, Result<ReadQuery, StorageError>> {
        let batches = QueryBatches {
            reads: self.clone(),
            end: end.unwrap_or(i64::MAX),
            next: Some((start, None)),
            batch: VecDeque::new(),
        };
        stream::unfold(batches, QueryBatches::step).boxed()
    }

    /// One page of results in the order of insertion; pages count from 0; empty past the end. What is null in old rows is
    /// read as empty.
    pub async fn results(&self, page: i64, items_per_page: i64) -> Result<Vec<ResultRow>, StorageError> {
        let mut retries = Retries::default();
        loop {
            let read = bounded(self.read_results(page.saturating_mul(items_per_page), items_per_page)).await;
            if !retries.again(&read) {
                return read;
            }
        }
    }

    async fn read_results(&self, offset: i64, limit: i64) -> Result<Vec<ResultRow>, StorageError> {
        let mut session = Session::statement(&self.results).await?;
        let page = session.query_as::<(String, String, String)>(
            "select coalesce(author, ''), coalesce(title, ''), coalesce(journal, '') from public.results
             where $1::bigint is null or recorded_at is null
                or recorded_at <= clock_timestamp() - $1 * interval '1 microsecond'
             order by id limit $2 offset $3",
        );
        let page = page.bind(self.settle.map(micros)).bind(limit).bind(offset);
        let rows = page.fetch_all(session.on()).await?;
        session.done().await?;
        Ok(rows
            .into_iter()
            .map(|(author, title, journal)| ResultRow {
                author,
                title,
                journal,
            })
            .collect())
    }

    /// Rows from the given place on.
    async fn batch(&self, from: Place, end: i64) -> Result<Vec<Row>, StorageError> {
        let mut retries = Retries::default();
        loop {
            let read = bounded(self.read_batch(from, end)).await;
            if !retries.again(&read) {
                return read;
            }
        }
    }

    async fn read_batch(&self, (start, after): Place, end: i64) -> Result<Vec<Row>, StorageError> {
        let mut session = Session::statement(&self.queries).await?;
        let batch = session.query_as::<Row>(
            "select id::bigint, query, timestamp, status, num_results from public.queries
             where timestamp between $1 and $2 and ($3::bigint is null or timestamp > $1 or id > $3)
               and ($4::bigint is null or recorded_at is null
                 or recorded_at <= clock_timestamp() - $4 * interval '1 microsecond')
             order by timestamp, id limit $5",
        );
        let batch = batch
            .bind(start)
            .bind(end)
            .bind(after)
            .bind(self.settle.map(micros))
            .bind(BATCH);
        let rows = batch.fetch_all(session.on()).await?;
        session.done().await?;
        Ok(rows)
    }
}

/// A timestamp, and the last id that was read of those that share it.
type Place = (i64, Option<i64>);
/// id, query, timestamp, status, `num_results`.
type Row = (i64, Option<String>, i64, Option<i16>, Option<i32>);

/// A read of `queries` on its way.
struct QueryBatches {
    reads: Reads,
    end: i64,
    /// Where the next batch begins; none once the last is read.
    next: Option<Place>,
    batch: VecDeque<ReadQuery>,
}

impl QueryBatches {
    async fn step(mut self) -> Option<(Result<ReadQuery, StorageError>, Self)> {
        if self.batch.is_empty() {
            let rows = match self.reads.batch(self.next?, self.end).await {
                Ok(rows) => rows,
                Err(error) => {
                    self.next = None;
                    return Some((Err(error), self));
                }
            };
            let is_full = i64::try_from(rows.len()).is_ok_and(|rows| rows == BATCH);
            self.next = rows
                .last()
                .filter(|_| is_full)
                .map(|(id, _, timestamp, ..)| (*timestamp, Some(*id)));
            self.batch = rows
                .into_iter()
                .map(|(_, query, timestamp, status, num_results)| ReadQuery {
                    query,
                    timestamp,
                    status,
                    num_results,
                })
                .collect();
        }
        let row = self.batch.pop_front()?;
        Some((Ok(row), self))
    }
}

/// Counts the repeats of a read that a replica's recovery cancels (SQLSTATE 40001).
#[derive(Default)]
struct Retries(u32);

impl Retries {
    fn again<T>(&mut self, read: &Result<T, StorageError>) -> bool {
        let cancelled = read
            .as_ref()
            .err()
            .and_then(StorageError::sqlstate)
            .is_some_and(|state| state == "40001");
        self.0 += u32::from(cancelled);
        cancelled && self.0 <= RETRIES
    }
}
