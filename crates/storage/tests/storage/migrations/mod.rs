//! Preparing databases.

pub(crate) mod adoption;
mod later;
mod moving;
mod rights;
mod runs;
