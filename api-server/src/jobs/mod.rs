//! `ArxivQuery` objects: made, read and removed within bounds, and one watch that tells all who wait.

pub(crate) mod backlog;
pub(crate) mod client;
pub(crate) mod idempotency;
pub(crate) mod orphans;
pub(crate) mod outcome;
pub(crate) mod submit;
pub(crate) mod view;
pub(crate) mod waiters;
pub(crate) mod watch;
