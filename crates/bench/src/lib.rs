//! Benchmarks, each relative to an upper bound that is measured in the same run and on the same cores. For development only;
//! `cargo xtask bench` runs them.
//!
//! The load generator is wrk, which needs little CPU itself.

pub mod reads;
pub mod searches;
mod wrk;

pub use wrk::Measured;
