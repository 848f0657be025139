//! What holds on all paths.

mod access;
mod browsers;
pub(crate) mod errors;
mod injection;
mod methods;
