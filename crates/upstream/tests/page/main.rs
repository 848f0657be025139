//! Pages by way of a real gate and store, from a stand-in for arXiv.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this is a test"
)]

mod bed;
mod fetched;
mod turns;
