//! The rules in the chart's `rbac` folder grant exactly the listed rights, out of everything that Kubernetes serves.

mod attempts;
mod matrix;

/// The project's own group.
const GROUP: &str = "arxiv-operator.dev";
