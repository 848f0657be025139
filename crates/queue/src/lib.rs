//! The order in which queries have their turns at arXiv: by priority, then namespaces in turn, then by age.
//!
//! - [`Lanes`] is the order as it is kept from turn to turn.
//! - [`Since`] is the age that decides within a namespace.
//! - [`schedule`] tells from the waiting queries alone when each has its turn.
//!
//! Pure data: no clock, no I/O. The operator takes turns by it, and whoever sees the same objects can tell a query its
//! place.

mod lanes;
mod schedule;
mod since;

pub use lanes::{Lanes, Standing};
pub use schedule::{Place, Waiting, schedule};
pub use since::Since;
