//! Request and response headers: parsing and writing.

pub mod accept;
pub mod etag;
pub mod link;
pub mod prefer;
pub mod vary;
