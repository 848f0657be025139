//! Limits on how often something is done, and how they are told.

mod fields;

pub(crate) use fields::{Bound, Fields};
