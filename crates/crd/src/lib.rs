//! The custom resources `ArxivQuery` and `ArxivFeed`: their types, their schemas with the rules that Kubernetes itself
//! enforces, and the names (phases, conditions, reasons, labels) that the operator and the API server agree on. No I/O.

// `KubeSchema` writes a second, private copy of each type, which the lint takes for a forgotten `pub`.
#![allow(unreachable_pub)]

#[macro_use]
mod words;
mod class;
mod feed;
pub mod fields;
mod names;
mod reason;
mod schema;
mod status;
mod without_managed_fields;

pub use class::{
    DEFAULT_CLASS, class_name, class_selector, class_words, finished_selector, unfinished_selector,
};
pub use feed::{
    ArxivFeed, ArxivFeedSpec, ArxivFeedStatus, FEED_LABEL, FeedCondition, FeedReason, InitialItems,
    MAX_FEED_NAME, QueryTemplate, Revisions, SecretKeyRef, TemplateMetadata, TemplateSpec, Webhook,
    is_feed_name,
};
pub use fields::{ArxivQuery, ArxivQuerySpec, ArxivSearch, JOB_FIELDS, SEARCH_FIELDS};
pub use names::is_dns_label;
pub use reason::Reason;
pub use schema::{custom_resource_definition, definitions};
pub use status::ArxivQueryStatus;
pub use without_managed_fields::QueryWithoutManagedFields;
pub use words::{CachePolicy, ConditionType, FailurePolicy, Phase, SortBy, SortOrder};

/// The API group of every object of this project.
pub const GROUP: &str = "arxiv-operator.dev";

/// Annotation: `"true"` on an object that was restored from a backup by anything but Velero.
pub const RESTORED_ANNOTATION: &str = "arxiv-operator.dev/restored";

/// Label of Velero on each object that it has restored.
pub const VELERO_LABEL: &str = "velero.io/restore-name";

/// Label on the objects that an API server creates for a client: a hash of the client's identity.
///
/// The limit of pending queries for each client counts by it, over all API servers and their restarts.
pub const CLIENT_LABEL: &str = "arxiv-operator.dev/client";
/// Annotation of an object that the REST API made: proves that it made this object for the client of its label, which may be
/// copied to another object.
pub const CLIENT_MARK_ANNOTATION: &str = "arxiv-operator.dev/client-mark";

/// Annotation on the objects that an API server creates under an idempotency key: a hash of the request.
pub const REQUEST_ANNOTATION: &str = "arxiv-operator.dev/request";

/// Annotation on the objects that an API server creates: the id of the request that made it, as in the answer's
/// `X-Request-Id`. Log lines about the object have it.
pub const REQUEST_ID_ANNOTATION: &str = "arxiv-operator.dev/request-id";

/// Annotation on the objects that an API server creates: the request's place in a trace, as W3C Trace Context writes it.
pub const TRACE_PARENT_ANNOTATION: &str = "arxiv-operator.dev/traceparent";

/// Field selector for unfinished objects. It also matches an object without status.
pub const UNFINISHED: &str = "status.phase!=Succeeded,status.phase!=Failed";

/// Field selector for finished objects: a selector has no "or".
pub(crate) const FINISHED: &str = "status.phase!=Pending,status.phase!=Running,status.phase!=Suspended";
