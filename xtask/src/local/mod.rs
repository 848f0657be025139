//! The system on this machine: `cargo xtask up` and `cargo xtask demo`.

pub(crate) mod demo;
mod gitops;
mod mornings;
pub(crate) mod signals;
pub(crate) mod up;
