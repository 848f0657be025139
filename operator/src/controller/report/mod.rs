//! What the users of a query see in Kubernetes: its status with conditions, and Events.

pub(crate) mod conditions;
pub(crate) mod events;
pub(crate) mod progress_report;
