//! The `ArxivQuery` custom resource: its types, its schema with the rules that Kubernetes itself enforces, and the
//! names (phases, conditions, reasons, labels) that the operator and the API server agree on. No I/O.

// `KubeSchema` writes a second, private copy of each type, which the lint takes for a forgotten `pub`.
#![allow(unreachable_pub)]

pub mod fields;
mod reason;
mod rules;
mod schema;
mod spec;
mod status;

pub use fields::FIELDS;
pub use reason::{Reason, UnknownReason};
pub use schema::custom_resource_definition;
pub use spec::{ArxivQuery, ArxivQuerySpec, CachePolicy, SortBy, SortOrder};
pub use status::{ArxivQueryStatus, ConditionType, Phase};

/// The API group of every object of this project.
pub const GROUP: &str = "arxiv-operator.dev";

/// Annotation: `"true"` makes an ArxivQuery fail on its first upstream error, whatever the error's class.
///
/// The API server sets it on what `GET /arxiv` creates, whose caller is told that error and nothing else.
pub const FAIL_FAST_ANNOTATION: &str = "arxiv-operator.dev/fail-fast";

/// Label on what an API server made for a client: a hash of who that is.
///
/// The bound of pending queries for each client is kept by it, over all API servers and their restarts.
pub const CLIENT_LABEL: &str = "arxiv-operator.dev/client";

/// Annotation on what an API server made under a client's idempotency key: a hash of what the client asked for.
pub const REQUEST_ANNOTATION: &str = "arxiv-operator.dev/request";

/// Field selector for what still has work to do. It also matches an object that has no status at all.
pub const UNFINISHED: &str = "status.phase!=Succeeded,status.phase!=Failed";
