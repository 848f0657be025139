//! The only SQL of the project: the sequence and its ledger, the upstream gate and its pages, `queries` and `results`.
//!
//! Every store has its own URL and user; each type here takes the pool of the store it works on. Nothing here
//! knows arXiv or Kubernetes. All SQL names the schema `public`, where the existing service has its tables.

mod connection;
mod error;
mod gate;
mod ids;
pub mod migrate;
mod pages;
mod reads;
mod records;
mod rows;
pub mod schema;
mod text_search;

pub use connection::{Access, Address, Pool, PoolSettings, register_metrics};
pub use error::{Cause, StorageError};
pub use gate::{
    Gate, GateError, GateLease, GateSettings, LOCK_OUTLIVES_HOST, LastLease, RequestOutcome, Slot,
};
pub use ids::{Ledger, Sequence};
pub use pages::{FoundPage, Page, PageHead, PageKey, PageVersion, Pages};
pub use reads::{
    EndedQuery, PaperFilter, PaperOrder, PaperPosition, Position, QueryFilter, QueryLogEntry, Reads,
    ReplicaState, ResultFilter, SettledPage, StoredPaper, Watermark, WhichVersion,
};
pub use records::{
    Ending, FailureRecord, IdUsage, ObjectRef, PaperBatch, PaperSource, QueryIdTaken, Record, Records,
    WriteOutcome, Writes, feeds,
};
pub use rows::{Paper, QueryRow, ResultRow};
pub use text_search::{TextQuery, TextQueryError};
