//! Limits on how often something is done, and how they are told.

mod clients;
mod fields;

pub(crate) use clients::ClientLimits;
pub(crate) use fields::{Bound, Fields};
