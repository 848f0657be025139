//! Faults on the running system: short runs of random ones, and single ones with a fixed order of events.

// clippy.toml allows these in tests, but not in what tests share.
#![allow(clippy::panic, clippy::unwrap_used)]
#![allow(clippy::print_stdout, reason = "the figures are the output")]

mod failover;
mod gate_reset;
mod short_runs;
