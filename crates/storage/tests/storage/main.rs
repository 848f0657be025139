//! The stores on real Postgres servers, each test with its own.

// clippy.toml allows these in tests, but not in what tests share.
#![allow(clippy::panic, clippy::unwrap_used)]

mod adoption;
mod connections;
mod ended;
mod export;
mod failover;
mod found;
mod gate;
mod ids;
mod ledger;
mod migrations;
mod moving;
mod pages;
mod reads;
mod records;
mod retention;
mod rights;
mod settled;
mod setup;
mod writes;
