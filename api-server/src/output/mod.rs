//! What reading endpoints have in common: filters, cursors, formats, links, and how far the replica is behind.
//!
//! All of it is asked for by parameters and headers; without any, answers are those of the existing service.

pub(crate) mod body;
pub(crate) mod csv;
pub(crate) mod cursor;
pub(crate) mod filter;
pub(crate) mod format;
pub(crate) mod lag;
pub(crate) mod papers;
