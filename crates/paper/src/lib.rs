//! A paper as arXiv describes it: its identifier, its versions, and their metadata. No I/O.

mod category;
mod identifier;
mod typed;
mod version;

pub use category::canonical_category;
pub use identifier::{PaperId, normalized_id};
pub use typed::typed_ids;
pub use version::{Author, Link, PaperVersion};

/// The text for the authors of a paper that names none.
pub const NO_AUTHORS: &str = "No authors available";

/// The text with each run of white space as one space.
pub fn single_spaced(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ")
}
