//! Ports, proxies and requests on loopback.

mod http_get;
mod ports;
mod proxy;
mod receiver;

pub use http_get::http_get;
pub use ports::Port;
pub(crate) use proxy::with_port;
pub use proxy::{Proxy, ProxyMode};
pub use receiver::{Received, Receiver, Reply};
