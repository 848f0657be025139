//! What the operator and the API server share as processes: settings, logs, traces, signals, health, metrics, servers, delays, rates.
//! Knows nothing of searches, databases or Kubernetes.

pub mod backoff;
pub mod correlation;
pub mod health;
pub mod logs;
pub mod metrics;
pub mod probe_server;
pub mod server;
pub mod settings;
pub mod signals;
pub mod token_bucket;
pub mod traces;
