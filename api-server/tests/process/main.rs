//! What needs whole processes: kills and signals, limits of connections and memory, slow clients, real rights, browsers
//! and other tools; and the whole system, with an operator, a control plane and a replica.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod access;
mod access_log;
mod addresses;
mod browser;
mod causes;
mod contract;
#[path = "../common/databases.rs"]
#[allow(dead_code, reason = "shared with the tests of routes")]
mod databases;
#[path = "../common/hostile.rs"]
mod hostile;
mod limits;
mod log_level;
mod memory;
mod outages;
#[path = "../common/removed.rs"]
mod removed;
mod roles;
mod rotation;
mod slow_clients;
mod system;
mod tls;
mod traces;

use std::sync::LazyLock;

use tokio::runtime::Runtime;

/// Nobody listens at port 1.
const NOWHERE: &str = "postgresql://u:p@127.0.0.1:1/d";
const MEBIBYTE: u64 = 1024 * 1024;

/// Runs a test that shares servers with others. Their clients belong to this runtime.
fn block_on<T>(test: impl Future<Output = T>) -> T {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
    RUNTIME.block_on(test)
}
