//! What is recorded and kept: rows, and finished objects.

mod exactly_once;
mod history;
mod restored;
