//! The testbed's own servers and processes, and what needs all of the system: the documentation's commands, the chart's rights.

// clippy.toml allows these in tests, but not in what tests share.
#![allow(clippy::panic, clippy::unwrap_used)]

mod arxiv;
mod control_plane;
mod documentation;
mod postgres;
mod process;
mod proxy;
mod rights;
mod stack;
