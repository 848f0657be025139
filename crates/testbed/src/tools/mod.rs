//! Programs and files that tests need and the repository does not hold: built or installed once, kept in the user's cache.

pub(crate) mod build_cache;
mod collector;
mod go_file;
mod go_tools;
pub mod packages;
pub mod progress;
mod prometheus;

pub use collector::Collector;
pub use go_file::GoFile;
pub use go_tools::GoTools;
pub(crate) use prometheus::prometheus;
pub use prometheus::promtool;
