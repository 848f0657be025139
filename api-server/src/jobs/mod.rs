//! `ArxivQuery` objects: created, read and deleted within limits, and one watch that informs all waiters.

pub(crate) mod backlog;
pub(crate) mod client;
pub(crate) mod client_key;
mod decoded_object;
pub(crate) mod idempotency;
pub(crate) mod lookups;
pub(crate) mod outcome;
pub(crate) mod submit;
pub(crate) mod view;
pub(crate) mod waiters;
pub(crate) mod watch;
