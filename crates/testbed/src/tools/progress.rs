//! Progress of first-use steps, on stderr: standard output belongs to the caller.

use std::io::Write;
use std::time::{Duration, Instant};

/// How often a long step says that it is still at work.
const EVERY: Duration = Duration::from_secs(15);

/// Writes one line. A closed stderr is no reason to fail.
pub fn print(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "testbed: {line}");
}

/// Runs `step`, which blocks, and tells every 15 seconds how long it has been running.
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
