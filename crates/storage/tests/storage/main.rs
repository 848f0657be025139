//! The stores on real Postgres servers, each test with its own.

// clippy.toml allows these in tests, but not in what tests share.
#![allow(clippy::panic, clippy::unwrap_used)]

mod connections;
mod gate;
mod ids;
mod migrations;
mod pages;
mod reads;
mod records;
mod setup;
