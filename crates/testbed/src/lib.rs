//! Everything that tests and `cargo xtask up` run on, as real as it gets: a Kubernetes control plane, Postgres with
//! a streaming replica, a stand-in for arXiv, and the whole system on top of them. Development only.
//!
//! All of it listens on loopback, keeps its state in folders of its own, and dies with the process that started it.

pub mod arxiv;
pub mod control_plane;
pub mod go_file;
pub mod go_tools;
mod http_get;
mod once;
pub mod packages;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod progress;
pub mod proxy;
pub mod scratch;
pub mod stack;
pub mod toolchain;
pub mod wait;

pub use arxiv::StandIn;
pub use control_plane::ControlPlane;
pub use http_get::http_get;
pub use postgres::Postgres;
pub use stack::Stack;
