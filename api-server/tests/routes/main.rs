//! The endpoints, in-process: one module for each path, and `middleware` for what holds on all paths.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod arxiv;
mod arxiv_api;
mod docs;
mod feeds;
mod get_sequence;
mod health;
#[path = "../common/hostile.rs"]
mod hostile;
mod middleware;
mod papers;
mod queries;
#[path = "../common/removed.rs"]
mod removed;
mod results;
mod support;
mod writes;
