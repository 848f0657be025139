//! `ArxivQuery` objects: made, read and removed within bounds, and one watch that tells all who wait.

pub(crate) mod abandoned;
pub(crate) mod feed;
pub(crate) mod objects;
pub(crate) mod waiters;
