//! What one process accepts at a time: connections, bodies, memory for responses, streams, and requests per client.

pub(crate) mod client;
pub(crate) mod connections;
pub(crate) mod headers;
pub(crate) mod rate;
pub(crate) mod request_body;
pub(crate) mod response_memory;
pub(crate) mod streams;
