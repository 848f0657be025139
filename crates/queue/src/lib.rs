//! The order in which queries have their turns at arXiv: by priority, then namespaces in turn, within each
//! its clients in turn, then by age.
//! Pure data: no clock, no I/O. The operator takes turns by it, and the API server, which sees the same
//! objects, computes a query's position.

mod ceilings;
mod fair_queue;
mod schedule;

pub use ceilings::PriorityCeilings;
pub use fair_queue::{Age, FairQueue, QueueEntry};
pub use schedule::{Place, Waiting, schedule};
