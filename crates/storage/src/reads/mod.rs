//! What clients read.

mod count;
mod ended;
mod filter;
mod lag;
mod offset_pages;
mod papers;
mod queries;
mod query_results;
mod results;
mod settled;
mod stream;

use std::time::Duration;

pub(crate) use self::papers::{key as paper_key, whole_papers};
pub use self::{
    ended::EndedQuery,
    filter::{QueryFilter, ResultFilter},
    lag::ReplicaState,
    papers::{PaperFilter, PaperOrder, PaperPosition, StoredPaper, WhichVersion},
    queries::QueryLogEntry,
    settled::{Position, SettledPage, Watermark},
};
use crate::connection::Pool;

/// Reads for the user `arxiv_ro`, from replicas.
#[derive(Clone, Debug)]
pub struct Reads {
    queries: Pool,
    results: Pool,
    settle: Option<Duration>,
}

impl Reads {
    /// The most rows that a stream holds at once, in 2 KiB for each.
    pub const BATCH: i64 = stream::BATCH;

    /// `settle`: leave out rows recorded less than this ago (where the two tables are on different servers).
    pub fn new(queries: Pool, results: Pool, settle: Option<Duration>) -> Self {
        Self {
            queries,
            results,
            settle,
        }
    }

    pub(crate) fn results_pool(&self) -> &Pool {
        &self.results
    }
}
