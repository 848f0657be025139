//! What objects and clients write.

mod batches;
mod client_writes;
pub(crate) mod feeds;
mod messages;
pub(crate) mod objects;
mod papers;
mod retention;
