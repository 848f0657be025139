//! The order in which queries have their turns at arXiv: by priority, then namespaces in turn, then by age.
//!
//! - [`FairQueue`] is the order as it is kept from turn to turn.
//! - [`Age`] is the age that decides within a namespace.
//! - [`schedule`] tells from the waiting queries alone when each has its turn.
//!
//! Pure data: no clock, no I/O. The operator takes turns by it, and whoever sees the same objects can tell a query its
//! place.

mod age;
mod fair_queue;
mod schedule;

pub use age::Age;
pub use fair_queue::{FairQueue, QueueEntry};
pub use schedule::{Place, Waiting, schedule};
