//! What the operator and the API server share as processes: how they read settings, log, end, and tell how they are.
//! Knows nothing of searches, databases or Kubernetes.

pub mod health;
pub mod logs;
pub mod metrics;
pub mod settings;
pub mod signals;
