//! The only SQL of the project: the sequence and its ledger, the upstream gate and its pages, `queries` and `results`.
//!
//! Every store has its own URL and user; each type here takes the pool of the store it works on. Nothing here
//! knows arXiv or Kubernetes. All SQL names the schema `public`, where the existing service has its tables.

mod connect;
mod error;
mod gate;
mod ledger;
mod locks;
pub mod migrate;
mod pages;
mod reads;
mod records;
pub mod schema;
mod sequence;
mod session;
mod time;
mod words;
mod writes;

pub use connect::{Access, PoolSettings, pool};
pub use error::StorageError;
pub use gate::{
    Gate, GateError, GateLease, GateSettings, GateState, LOCK_OUTLIVES_HOST, RequestOutcome, Slot,
};
pub use ledger::Ledger;
pub use pages::{NewPage, Page, PageEntry, PageHead, PageKey, PageVersion, Pages};
pub use reads::{
    EndedQuery, Position, QueryFilter, QueryLogEntry, Reads, ReplicaState, ResultFilter, SettledPage,
    StoredResult, Watermark,
};
pub use records::{
    Ending, FailureRecord, IdUsage, ObjectRef, Papers, QueryIdTaken, Record, Recorded, Records,
};
pub use sequence::Sequence;
/// The pool that [`pool`] makes: what the stores are built from.
pub use sqlx::PgPool;
pub use words::{TextQuery, TextQueryError};
pub use writes::{QueryRow, WriteOutcome, Writes};

/// One paper that is to be recorded.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Paper {
    /// What every row has.
    pub row: ResultRow,
    /// arXiv's identifier with its version (`2405.00001v1`); empty when there is none.
    pub arxiv_id: String,
    /// arXiv's categories with spaces between, the primary one first; empty when there is none.
    pub categories: String,
}

/// One paper as it stands in `results`.
#[derive(Clone, Debug, Eq, Hash, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct ResultRow {
    /// All authors, joined.
    pub author: String,
    /// Title.
    pub title: String,
    /// Journal reference, empty when there is none.
    pub journal: String,
}
