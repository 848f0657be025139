//! Work in addition to queries: finished objects, removal of what has expired, the settled watermark of readers, and the claims.

pub(crate) mod claims;
pub(crate) mod expiry;
mod feeds;
pub(crate) mod finished;
pub(crate) mod sweep;
mod ttl;
pub(crate) mod watermark;
