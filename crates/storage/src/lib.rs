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
pub use gate::{Gate, GateError, GateSettings, GateState, LOCK_OUTLIVES_HOST, Outcome, Slot, Turn};
pub use ledger::Ledger;
pub use pages::{Edition, NewPage, Page, PageEntry, PageHead, PageKey, Pages};
pub use reads::{
    Ended, Position, QueryFilter, ReadQuery, Reads, ReplicaState, ResultFilter, Settled, SettledPage,
    StoredResult,
};
pub use records::{Closing, Ending, Object, Papers, Record, RecordOutcome, Recorded, Records, UsedIds};
pub use sequence::Sequence;
/// The pool that [`pool`] makes: what the stores are built from.
pub use sqlx::PgPool;
pub use words::{Words, WordsError};
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
