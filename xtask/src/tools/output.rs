//! Output: results on standard output, progress on standard error.

use std::io::Write;

/// Prints a line of the result. A closed standard output is no error.
pub(crate) fn result(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

/// Prints a line of progress.
pub(crate) fn progress(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
