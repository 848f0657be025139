//! Request and response headers: parsing and writing.

pub(crate) mod accept;
pub(crate) mod etag;
pub(crate) mod links;
pub(crate) mod prefer;
pub(crate) mod vary;
