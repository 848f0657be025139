//! The rules in the chart's `rbac` folder give what is listed here, and nothing else of all that Kubernetes has.
#![allow(clippy::panic, clippy::unwrap_used)]

mod attempts;
mod matrix;

/// The project's own group.
const GROUP: &str = "arxiv-operator.dev";
