//! What clients read.

mod count;
mod ended;
mod filter;
mod lag;
mod offset_pages;
mod queries;
mod query_results;
mod results;
mod settled;
mod stream;

use std::time::Duration;

use sqlx::PgPool;

pub use self::{
    ended::EndedQuery,
    filter::{QueryFilter, ResultFilter},
    lag::ReplicaState,
    queries::QueryLogEntry,
    settled::{Position, SettledPage, Watermark},
};

/// Reads for the user `arxiv_ro`, from replicas.
#[derive(Clone, Debug)]
pub struct Reads {
    queries: PgPool,
    results: PgPool,
    settle: Option<Duration>,
}

impl Reads {
    /// The most rows that a stream holds at once, in 2 KiB for each.
    pub const BATCH: i64 = stream::BATCH;

    /// `settle`: leave out rows recorded less than this ago (where the two tables are on different servers).
    pub fn new(queries: PgPool, results: PgPool, settle: Option<Duration>) -> Self {
        Self {
            queries,
            results,
            settle,
        }
    }
}
