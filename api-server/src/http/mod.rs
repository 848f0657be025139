//! The HTTP server: accepting connections, and the middleware around every route.

pub(crate) mod methods;
pub(crate) mod middleware;
pub(crate) mod server;
pub(crate) mod stream;
