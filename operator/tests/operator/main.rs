//! The operator's process on a real control plane and real Postgres, each test with its own namespace and databases.

// clippy.toml allows these in tests, but not in what tests share.
#![allow(clippy::panic, clippy::unwrap_used)]
#![allow(clippy::print_stdout, reason = "some figures are a result")]

mod admission;
mod feeds;
mod fetching;
mod objects;
mod processes;
mod records;
