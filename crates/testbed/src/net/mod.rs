//! Ports, proxies and requests on loopback.

mod http_get;
mod ports;
mod proxy;

pub use http_get::http_get;
pub use ports::Port;
pub(crate) use proxy::with_port;
pub use proxy::{Proxy, ProxyMode};
