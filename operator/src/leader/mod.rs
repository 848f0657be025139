//! Which process works, and what runs while it leads.

pub(crate) mod election;
mod lease;
pub(crate) mod tasks;
