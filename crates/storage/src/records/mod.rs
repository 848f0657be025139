//! Recording a finished search, exactly once; and what clients write.
//!
//! Rows belong to an object by the uid in them. A record is written under the locks of its uid and its query id, then read back;
//! the row that is read is the truth, whichever process wrote it. An object ends once: with its record, or with a tombstone, which
//! is written under the uid's lock too.

mod batch;
mod client_writes;
mod ending;
pub mod feeds;
mod maintenance;
mod papers;
mod split;
mod statements;

use std::{sync::Arc, time::Duration};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use jiff::Timestamp;
use paper::PaperVersion;
use uuid::Uuid;

pub(crate) use self::ending::ending_of;
use self::{
    batch::{RecordBatch, SmallRecord},
    feeds::{FeedRun, Feeds},
    statements::Tables,
};
pub use self::{
    client_writes::{WriteOutcome, Writes},
    maintenance::IdUsage,
};
use crate::{
    QueryRow, StorageError,
    connection::{Batcher, Outcome, Pool, Session, bounded_with},
};

/// What each further batch of a record adds to the time that it may take.
const BATCH_TIMEOUT: Duration = Duration::from_secs(5);

/// An object, by what the database keeps of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ObjectRef<'a> {
    /// In each of its rows, and in its tombstone.
    pub uid: Uuid,
    /// Its Kubernetes namespace.
    pub namespace: &'a str,
    /// How clients ask for it once it no longer exists.
    pub name: &'a str,
    /// A hash of what it searches for.
    pub search: &'a str,
}

/// A finished search.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// The object it belongs to.
    pub object: ObjectRef<'a>,
    /// Its query id, from the ledger.
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
    pub papers: &'a dyn PaperSource,
    /// The feed that it is a run of: then only the papers that are new to the feed become results.
    pub feed: Option<FeedRun<'a>>,
}

/// Papers of one answer of arXiv's.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PaperBatch {
    /// In arXiv's order. Other records may have the same.
    pub papers: Arc<Vec<PaperVersion>>,
    /// When the answer was fetched.
    pub fetched_at: Timestamp,
}

/// The papers of a record, wherever they are: never all of them in memory.
pub trait PaperSource: Sync {
    /// How many batches there are.
    fn batch_count(&self) -> usize;

    /// All of them from the first one on. After an error nothing is recorded.
    fn batches(&self) -> BoxStream<'_, Result<PaperBatch, StorageError>>;

    /// The papers of the only batch and when it was fetched, if it is in memory. Whether the database has them already is looked up
    /// together with other things, and they are not sent once more.
    fn in_memory(&self) -> Option<(&[PaperVersion], Timestamp)> {
        None
    }
}

/// One answer in memory.
impl PaperSource for PaperBatch {
    fn batch_count(&self) -> usize {
        1
    }

    fn batches(&self) -> BoxStream<'_, Result<PaperBatch, StorageError>> {
        stream::iter([Ok(self.clone())]).boxed()
    }

    fn in_memory(&self) -> Option<(&[PaperVersion], Timestamp)> {
        Some((&self.papers, self.fetched_at))
    }
}

/// Why an object ended without rows: what its users see.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FailureRecord {
    /// Why, in a word (CamelCase).
    pub reason: String,
    /// Why, for people.
    pub message: String,
    /// Why, as an HTTP status for a caller of the REST API.
    pub http_status: Option<u16>,
}

/// How an object ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Ending {
    /// With this row in `queries`, and its results.
    Recorded(QueryRow),
    /// Without rows.
    Failed(FailureRecord),
}

/// A foreign row has the query id: take another one ([`crate::Ledger::reassign`]) and record again. No row in `queries` was
/// written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct QueryIdTaken;

/// Records of objects, for the user `arxiv_rw`.
#[derive(Clone, Debug)]
pub struct Records {
    queries: Pool,
    /// Where `results` is in another database.
    results: Option<Pool>,
    /// Of small records.
    batches: Batcher<RecordBatch>,
}

impl Records {
    /// `split`: the tables are in different databases; otherwise only the first pool is used.
    pub fn new(queries: Pool, results: Pool, split: bool) -> Self {
        let results = split.then_some(results);
        let batch = RecordBatch {
            queries: queries.clone(),
            results: results.clone(),
        };
        Self {
            queries,
            results,
            batches: Batcher::new(batch),
        }
    }

    /// The feeds whose runs are recorded here.
    pub fn feeds(&self) -> Feeds {
        Feeds::new(self.results().clone())
    }

    fn results(&self) -> &Pool {
        self.results.as_ref().unwrap_or(&self.queries)
    }

    /// Records a search, unless the object has ended already; how it ended, now or before. After an error the record may be there
    /// or not: call it again.
    ///
    /// Small records that come at nearly the same time are written together.
    pub async fn record(&self, record: &Record<'_>) -> Result<Result<Ending, QueryIdTaken>, StorageError> {
        if !batch::is_small(record) {
            return self.record_alone(record).await;
        }
        match self.batches.join(SmallRecord::read(record).await?).await {
            Outcome::Served(Ok(Some(ending))) => Ok(Ok(ending)),
            Outcome::Served(Err(error)) => Err(error),
            Outcome::Served(Ok(None)) | Outcome::Alone(..) => self.record_alone(record).await,
        }
    }

    /// Records a search in a transaction of its own, or in one of each database.
    async fn record_alone(&self, record: &Record<'_>) -> Result<Result<Ending, QueryIdTaken>, StorageError> {
        let more = u32::try_from(record.papers.batch_count().saturating_sub(1)).unwrap_or(u32::MAX);
        let more = BATCH_TIMEOUT.saturating_mul(more);
        match &self.results {
            Some(results) => bounded_with(more, split::record(&self.queries, results, record)).await,
            None => bounded_with(more, self.record_in_one(record)).await,
        }
    }

    async fn record_in_one(&self, record: &Record<'_>) -> Result<Result<Ending, QueryIdTaken>, StorageError> {
        let locks = statements::locks(&[*record], Tables::Both);
        let mut session = Session::open_locked(&self.queries, &locks).await?;
        let existing = statements::existing(&mut session, record, Tables::Both).await?;
        if let Some(ending) = existing.ending {
            session.await_durable().await?;
            session.commit().await?;
            return Ok(Ok(ending));
        }
        if existing.is_id_taken {
            return Ok(Err(QueryIdTaken));
        }
        let entries = match existing.results {
            Some((entries, _)) => entries,
            None => statements::insert_results(&mut session, record, &existing).await?,
        };
        match statements::insert_query(&mut session, record, record.query_id, entries).await? {
            Some(ending) => {
                session.commit().await?;
                Ok(Ok(ending))
            }
            None => Ok(Err(QueryIdTaken)),
        }
    }
}
