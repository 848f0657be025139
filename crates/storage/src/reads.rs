//! What clients read.

use std::time::Duration;

use futures::stream::BoxStream;
use sqlx::PgPool;

use crate::{ResultRow, StorageError};

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
        Self { queries, results, settle }
    }

    /// Queries from `start` to `end` (unix seconds, both inclusive; open without an end), ascending by timestamp, then by
    /// insertion. Read in batches: neither memory nor a connection is held for the whole.
    pub fn queries(&self, start: i64, end: Option<i64>) -> BoxStream<'static, Result<ReadQuery, StorageError>> {
        todo!("{:?}{start}{end:?}", self.queries)
    }

    /// One page of results in the order of insertion; pages count from 0; empty past the end.
    pub async fn results(&self, page: i64, items_per_page: i64) -> Result<Vec<ResultRow>, StorageError> {
        todo!("{:?}{page}{items_per_page:?}{:?}", self.results, self.settle)
    }
}
