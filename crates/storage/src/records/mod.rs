//! Recording a finished search, exactly once.

use sqlx::PgPool;
use uuid::Uuid;

use crate::{ResultRow, StorageError};

/// A finished search.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The object it belongs to.
    pub uid: Uuid,
    /// Its number, from the ledger.
    pub number: i64,
    /// Unix seconds.
    pub timestamp: i64,
    /// The upstream's HTTP status.
    pub status: i16,
    /// Papers found in all.
    pub num_results: i32,
    /// The query as arXiv understood it.
    pub query: &'a str,
    /// The papers, numbered in this order; at most 30000.
    pub results: &'a [ResultRow],
}

/// What stands in `queries` for an object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recorded {
    /// Its number.
    pub query_id: i64,
    /// Unix seconds.
    pub timestamp: i64,
    /// The upstream's HTTP status.
    pub status: i16,
    /// Papers found in all.
    pub num_results: i32,
    /// Papers recorded.
    pub num_entries: i32,
    /// The query as arXiv understood it.
    pub query: String,
}

/// What became of recording.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RecordOutcome {
    /// Now, or before, recorded; this stands there.
    Recorded(Recorded),
    /// Another's row has the number: take another ([`crate::Ledger::replace`]) and record again. Nothing was written.
    NumberTaken,
}

/// Records of objects, for the user `arxiv_rw`.
#[derive(Clone, Debug)]
pub struct Records {
    queries: PgPool,
    results: PgPool,
    split: bool,
}

impl Records {
    /// `split`: the tables are in different databases; otherwise only the first pool is used.
    pub fn new(queries: PgPool, results: PgPool, split: bool) -> Self {
        Self { queries, results, split }
    }

    /// What stands there for an object.
    pub async fn find(&self, uid: Uuid) -> Result<Option<Recorded>, StorageError> {
        todo!("{:?}{uid:?}", self.queries)
    }

    /// Records a search, unless the object has its record already.
    pub async fn record(&self, record: &Record<'_>) -> Result<RecordOutcome, StorageError> {
        todo!("{:?}{record:?}{}", self.results, self.split)
    }

    /// For the sweeper of split servers: uids after `after`, in order, at most `limit`, that have results older than an hour
    /// and no row in `queries`. None when not split.
    pub async fn unfinished(&self, after: Option<Uuid>, limit: u32) -> Result<Vec<Uuid>, StorageError> {
        todo!("{after:?}{limit:?}")
    }

    /// Deletes such results of an object that is gone; how many. The row in `queries` is looked for once more, under the lock
    /// that recording takes.
    pub async fn sweep(&self, uid: Uuid) -> Result<u64, StorageError> {
        todo!("{uid:?}")
    }
}
