//! A paper as an entry of a bibliography, in the formats of reference managers. No I/O.
//!
//! arXiv's metadata of a paper is text that people typed: TeX of any quality, authors that are collaborations, journal
//! references in many spellings. An entry says what is certain about it, and gives the rest as the text that it is.

mod bibtex;
mod csl;
mod entry;
mod journal;
mod names;
mod ris;
mod tex;

pub use bibtex::bibtex;
pub use csl::csl_json;
pub use ris::ris;

/// What a client chooses about entries.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Options {
    /// Whether identifiers and addresses name the version: `1706.03762v7`.
    pub with_version: bool,
}
