//! Benchmarks, each relative to an upper bound that is measured in the same run and on the same cores. For development only;
//! `cargo xtask bench` runs them.
//!
//! The load generator is wrk, which needs little CPU itself.

mod figures;
pub mod growth;
pub mod page;
pub mod reads;
pub mod searches;
mod wrk;

pub use figures::{Figure, Goal, json, table};
pub use wrk::Measured;
