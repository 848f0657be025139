//! Periodic work in addition to queries: removal of what has expired, the settled watermark of readers, and the claims.

pub(crate) mod claims;
mod feeds;
pub(crate) mod sweep;
mod ttl;
pub(crate) mod watermark;
