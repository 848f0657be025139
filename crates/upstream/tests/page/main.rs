//! Pages by way of a real gate and store, from a fake arXiv.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this is a test"
)]

mod fetched;
mod turns;
mod upstream_env;
