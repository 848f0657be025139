//! The Helm chart on a real cluster: a node with containerd and the kubelet on this machine, or kind's, the images that are
//! shipped, and what users do with them. Development only; `cargo xtask e2e` runs it.
//!
//! The node needs root. Everything of it runs in network, process and mount namespaces that are made for one run ([`room`]) and
//! end with it: nothing outside is reached, and nothing of it stays.

mod addons;
pub mod cluster;
mod forward;
mod load;
pub mod node;
pub mod parts;
pub mod room;
mod site;
pub mod steps;
pub mod timeline;
