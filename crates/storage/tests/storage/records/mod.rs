//! What objects and clients write.

pub(crate) mod batches;
mod client_writes;
pub(crate) mod feeds;
mod messages;
pub(crate) mod objects;
mod papers;
mod retention;
