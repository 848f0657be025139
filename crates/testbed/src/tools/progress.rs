//! Progress of steps that run once per machine, on standard error: standard output belongs to the caller.

use std::io::Write;
use std::time::{Duration, Instant};

/// How often a long step reports that it is still running.
const EVERY: Duration = Duration::from_secs(15);

/// Prints one line. A closed standard error is no error.
pub fn print(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "testbed: {line}");
}

/// Runs `step`, which blocks, and prints every 15 seconds how long it has been running.
pub fn with_heartbeat<T: Send>(what: &str, step: impl FnOnce() -> T + Send) -> T {
    let started = Instant::now();
    let (done, waiting) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while waiting.recv_timeout(EVERY) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                print(&format!("{what}: {} s so far", started.elapsed().as_secs()));
            }
        });
        let result = step();
        drop(done);
        result
    })
}
