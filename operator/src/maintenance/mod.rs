//! Periodic work in addition to queries: removal of what has expired, and the settled watermark of readers.

pub(crate) mod sweep;
mod ttl;
pub(crate) mod watermark;
