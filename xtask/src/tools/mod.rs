//! What the commands share: calling cargo, output, copies of the sources, and programs from crates.io.

pub(crate) mod cargo;
pub(crate) mod output;
pub(crate) mod sources;
pub(crate) mod tool;
