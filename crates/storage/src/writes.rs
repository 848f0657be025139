//! The `/write-*` endpoints' writes.

use sqlx::PgPool;

use crate::{ResultRow, StorageError};

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

/// Writes of clients that bring their own number, for the user `arxiv_rw`.
#[derive(Clone, Debug)]
pub struct Writes {
    queries: PgPool,
    results: PgPool,
}

impl Writes {
    /// Writes to the two tables, which may be in different databases.
    pub fn new(queries: PgPool, results: PgPool) -> Self {
        Self { queries, results }
    }

    /// Writes one query.
    pub async fn query(&self, row: &QueryRow) -> Result<WriteOutcome, StorageError> {
        todo!("{:?}{row:?}", self.queries)
    }

    /// Writes all results of a query (numbered from 1), or none.
    pub async fn results(&self, query_id: i64, timestamp: i64, rows: &[ResultRow]) -> Result<WriteOutcome, StorageError> {
        todo!("{:?}{query_id:?}{timestamp}{rows:?}", self.results)
    }
}
