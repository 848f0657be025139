//! The end-to-end test: the Helm chart with the shipped images on a real Kubernetes node on this machine, used as users use
//! it. For development only; `cargo xtask e2e` runs it.
//!
//! The node needs root. All of it runs in network, process and mount namespaces that are created for one run ([`sandbox`]) and
//! end with it: nothing outside can be reached, and nothing remains.

mod addons;
mod environment;
mod forward;
mod load;
pub mod node;
pub mod sandbox;
pub mod steps;
pub mod test_images;
pub mod timeline;
