//! The process: its settings, what its tasks share, what it serves, and its supervised tasks.

pub(crate) mod check;
pub(crate) mod claims;
pub(crate) mod correlation;
pub(crate) mod dependencies;
pub(crate) mod kubernetes;
pub(crate) mod metrics;
pub(crate) mod migrate;
pub(crate) mod namespaces;
pub(crate) mod settings;
pub(crate) mod statuses;
pub(crate) mod supervisor;
