//! What is recorded and kept: rows, and finished objects.

mod exactly_once;
mod feeds;
mod history;
mod restored;
