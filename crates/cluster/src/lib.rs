//! Calls to the API server of Kubernetes: clients and calls have time limits, errors are classified by what the caller
//! can do about them, and an object is deleted only as it was seen.

mod call;
mod client;
mod delete;

pub use call::{CallError, within};
pub use client::{ClientError, ClientSettings, client};
pub use delete::delete_exact;
