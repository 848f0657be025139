//! How long operations on the databases take.

use std::sync::LazyLock;
use std::time::Duration;

use metrics::{Durations, Metrics};

use crate::StorageError;

/// From a read by key to the limit of one operation, in seconds.
const BUCKETS: [f64; 10] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];

static OPERATIONS: LazyLock<Durations<1>> = LazyLock::new(|| Durations::new(["outcome"], &BUCKETS));

/// Adds the durations of this process's operations to its metrics.
pub fn register_metrics(metrics: &Metrics) {
    let help = "Operations on the databases in seconds, the wait for a connection included, one for several callers once, \
                by outcome: ok, unavailable (the database did not answer), failed";
    metrics.register(
        "database_operation_duration_seconds",
        &["outcome"],
        help,
        &*OPERATIONS,
    );
}

pub(crate) fn observe<T>(done: &Result<T, StorageError>, duration: Duration) {
    let outcome = match done {
        Ok(_) => "ok",
        Err(error) if error.is_unavailable() => "unavailable",
        Err(_) => "failed",
    };
    OPERATIONS.observe([outcome], duration);
}
