//! Requests to arXiv: which pages are waited for, in which order they are fetched, and what came of it.

pub(crate) mod fetcher;
mod page_queue;
pub(crate) mod progress;
pub(crate) mod tracker;
