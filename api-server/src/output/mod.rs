//! The common parts of the reading endpoints: filters, cursors, formats, and the replica's lag.
//!
//! Clients choose them by parameters and headers; without any, responses are those of the existing service.

pub(crate) mod body;
pub(crate) mod citation;
pub(crate) mod columns;
pub(crate) mod csv;
pub(crate) mod cursor;
pub(crate) mod feed;
pub(crate) mod filter;
pub(crate) mod format;
pub(crate) mod lag;
pub(crate) mod papers;
pub(crate) mod versions;
