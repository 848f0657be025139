//! What protects people's browsers, and this service from what pages make them do.

mod cross_site;
mod headers;
mod origins;

pub(crate) use cross_site::is_foreign;
pub(crate) use headers::protect;
pub(crate) use origins::Origins;
