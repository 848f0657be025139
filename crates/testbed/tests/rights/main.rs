//! The rules in the chart's `rbac` folder grant exactly the listed rights, out of everything that Kubernetes serves.
#![allow(clippy::panic, clippy::unwrap_used)]

mod attempts;
mod matrix;

/// The project's own group.
const GROUP: &str = "arxiv-operator.dev";
