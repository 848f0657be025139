//! Preparing databases.

pub(crate) mod adoption;
mod installing;
mod later;
mod moving;
mod rights;
mod runs;
