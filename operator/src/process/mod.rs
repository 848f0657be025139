//! The process: its settings, what it serves, its supervised tasks, and how it calls Kubernetes.

pub(crate) mod kubernetes;
pub(crate) mod metrics;
pub(crate) mod migrate;
pub(crate) mod readiness;
pub(crate) mod serve;
pub(crate) mod settings;
pub(crate) mod supervisor;
