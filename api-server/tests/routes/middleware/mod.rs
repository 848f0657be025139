//! What holds on all paths.

mod access;
mod browsers;
mod codings;
pub(crate) mod errors;
mod injection;
mod methods;
