//! What connects the log lines of one request in all processes: its id, and its trace. Both come from clients and, by
//! annotations, from anyone who may write objects, so they are checked before use.

mod request_id;
mod trace_parent;

pub use request_id::is_request_id;
pub use trace_parent::{InvalidTraceParent, TraceParent};
