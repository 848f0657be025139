//! The environment of tests and of `cargo xtask up`, as close to production as possible: a Kubernetes control plane,
//! Postgres with a streaming replica, a fake arXiv, and the whole system on top of them. For development only.
//!
//! All servers listen on loopback, keep their state in their own folders, and end with the process that started them.

pub mod arxiv;
pub mod control_plane;
pub mod net;
pub mod postgres;
pub mod process;
pub mod stack;
pub mod temp_dir;
pub mod test_env;
pub mod tools;
pub mod wait;

pub use arxiv::FakeArxiv;
pub use control_plane::ControlPlane;
pub use net::http_get;
pub use postgres::Postgres;
pub use stack::Stack;
pub use temp_dir::TempDir;
pub use test_env::TestEnv;
