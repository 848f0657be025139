//! Preparing databases.

pub(crate) mod adoption;
mod moving;
mod rights;
mod runs;
