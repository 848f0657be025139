//! What is shown: results on standard output, progress on standard error.

use std::io::Write;

/// A line of the result. A reader that has gone away is no reason to fail.
pub(crate) fn result(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

/// A line of progress.
pub(crate) fn progress(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
