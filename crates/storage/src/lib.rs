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
mod writes;

pub use connect::{Access, PoolSettings, pool};
pub use error::StorageError;
pub use gate::{Gate, GateError, GateSettings, GateState, LOCK_OUTLIVES_HOST, Outcome, Slot, Turn};
pub use ledger::Ledger;
pub use pages::{NewPage, Page, PageEntry, PageHead, PageKey, Pages};
pub use reads::{ReadQuery, Reads};
pub use records::{Closing, Ending, Papers, Record, RecordOutcome, Recorded, Records};
pub use sequence::Sequence;
/// The pool that [`pool`] makes: what the stores are built from.
pub use sqlx::PgPool;
pub use writes::{QueryRow, WriteOutcome, Writes};

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
