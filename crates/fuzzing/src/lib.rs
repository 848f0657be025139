//! What must hold of any input whatever. The fuzz targets in `fuzz/` and the test of the kept corpus run the
//! same functions: each takes any bytes, and panics when something does not hold.

// A panic is how a fuzz target reports a finding.
#![allow(clippy::panic, clippy::unwrap_used, clippy::missing_panics_doc)]

mod feed;
mod request;
mod search;

pub use feed::feed;
pub use request::request;
pub use search::search;

/// The function that a target runs on an input.
pub type Check = fn(&[u8]);

/// All targets by name.
pub const TARGETS: [(&str, Check); 3] = [("feed", feed), ("search", search), ("request", request)];
