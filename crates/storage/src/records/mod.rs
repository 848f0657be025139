//! Recording a finished search, exactly once.
//!
//! Rows belong to an object by the uid on them. A record is written under the locks of its uid and its number, then read
//! back; what stands there is the truth, whoever wrote it. An object ends once: with its record, or closed, which is under the
//! uid's lock too.

mod closed;
mod ending;
mod expire;
mod ids;
mod rows;
mod split;
mod watermark;

use futures::stream::BoxStream;
use sqlx::PgPool;
use uuid::Uuid;

pub(crate) use self::ending::EndingRow;
pub use self::ids::IdUsage;
use crate::{
    Paper, StorageError,
    connect::bounded,
    locks::{lock_number, lock_uid},
    session::Session,
};

/// An object, by what is kept of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ObjectRef<'a> {
    /// What its rows and its tombstone belong to it by.
    pub uid: Uuid,
    /// Where it is.
    pub namespace: &'a str,
    /// What it is found by once it is gone.
    pub name: &'a str,
}

/// A finished search.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// The object it belongs to.
    pub object: ObjectRef<'a>,
    /// Its number, from the ledger.
    pub query_id: i64,
    /// Unix seconds.
    pub timestamp: i64,
    /// The upstream's HTTP status.
    pub status: i16,
    /// Papers found in all.
    pub num_results: i32,
    /// The query as arXiv understood it.
    pub query: &'a str,
    /// The papers, numbered from 0 in their order; at most 30000.
    pub results: &'a dyn Papers,
}

/// The papers of a record, wherever they are: never all of them in memory.
pub trait Papers: Sync {
    /// All of them from the first one on, a piece at a time. An error ends the record, and nothing of it stands.
    fn pieces(&self) -> BoxStream<'_, Result<Vec<Paper>, StorageError>>;
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

/// Why an object ended without rows: what its users see.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FailureRecord {
    /// Why, in a word.
    pub reason: String,
    /// Why, for people.
    pub message: String,
    /// Why, as an HTTP status for a caller of the REST API.
    pub http_status: Option<u16>,
}

/// How an object ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Ending {
    /// With this record.
    Recorded(Recorded),
    /// Without rows.
    Failed(FailureRecord),
}

/// Another row than this object's has the query id: take another one ([`crate::Ledger::reassign`]) and record again. No row in
/// `queries` was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct QueryIdTaken;

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
        Self {
            queries,
            results,
            split,
        }
    }

    /// How an object ended, if it has.
    pub async fn find(&self, uid: Uuid) -> Result<Option<Ending>, StorageError> {
        bounded(async {
            let mut session = Session::statement(&self.queries).await?;
            let ending = ending::standing(&mut session, uid).await?;
            session.commit().await?;
            Ok(ending)
        })
        .await
    }

    /// Ends an object without rows, unless it has ended already; how it ended then. Whoever comes to record it later is refused.
    pub async fn write_tombstone(
        &self,
        object: &ObjectRef<'_>,
        failure: &FailureRecord,
    ) -> Result<Ending, StorageError> {
        bounded(async {
            let mut session = Session::transaction(&self.queries).await?;
            lock_uid(&mut session, object.uid).await?;
            let ending = closed::write(&mut session, object, failure).await?;
            session.commit().await?;
            Ok(ending)
        })
        .await
    }

    /// Forgets what was closed a week ago; how many.
    pub async fn prune_tombstones(&self) -> Result<u64, StorageError> {
        bounded(async {
            let mut session = Session::statement(&self.queries).await?;
            let pruned = closed::prune(&mut session).await?;
            session.commit().await?;
            Ok(pruned)
        })
        .await
    }

    /// Removes some of the oldest records past the age that the databases' owner has set; how many objects' they were. Ask
    /// again until it is none. Where nothing is set, nothing is removed.
    pub async fn expire(&self) -> Result<usize, StorageError> {
        let apart = self.split.then_some(&self.results);
        bounded(expire::expire(&self.queries, apart)).await
    }

    /// Records a search, unless the object has ended already; how it ended, now or before. After an error the record may be there
    /// or not: call it again.
    pub async fn record(&self, record: &Record<'_>) -> Result<Result<Ending, QueryIdTaken>, StorageError> {
        if self.split {
            bounded(split::record(&self.queries, &self.results, record)).await
        } else {
            bounded(self.record_in_one(record)).await
        }
    }

    async fn record_in_one(&self, record: &Record<'_>) -> Result<Result<Ending, QueryIdTaken>, StorageError> {
        let mut session = Session::transaction(&self.queries).await?;
        lock_uid(&mut session, record.object.uid).await?;
        if let Some(ending) = ending::standing(&mut session, record.object.uid).await? {
            session.commit().await?;
            return Ok(Ok(ending));
        }
        lock_number(&mut session, record.query_id).await?;
        if rows::query_has_number(&mut session, record).await?
            || rows::result_has_number(&mut session, record).await?
        {
            return Ok(Err(QueryIdTaken));
        }
        let entries = rows::insert_results(&mut session, record).await?;
        match rows::insert_query(&mut session, record, record.query_id, entries).await? {
            Some(recorded) => {
                session.commit().await?;
                Ok(Ok(Ending::Recorded(recorded)))
            }
            None => Ok(Err(QueryIdTaken)),
        }
    }

    /// For the sweeper of split servers: uids after `after`, in order, at most `limit`, that have results older than an hour
    /// and no row in `queries`, and where to go on (none at the end). Nothing when not split.
    pub async fn unfinished(
        &self,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<(Vec<Uuid>, Option<Uuid>), StorageError> {
        if !self.split {
            return Ok((Vec::new(), None));
        }
        bounded(split::unfinished(&self.queries, &self.results, after, limit)).await
    }

    /// Deletes such results of an object that is gone; how many. The row in `queries` is looked for once more, under the lock
    /// that recording takes.
    pub async fn sweep(&self, uid: Uuid) -> Result<u64, StorageError> {
        if !self.split {
            return Ok(0);
        }
        bounded(split::sweep(&self.queries, &self.results, uid)).await
    }
}
