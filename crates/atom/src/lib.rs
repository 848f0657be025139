//! Papers as entries of a feed: Atom (RFC 4287) with arXiv's elements, as in the answers of arXiv's API. No I/O.

mod entry;
mod feed;
mod text;

pub use entry::write_entry;
pub use feed::{Feed, TAIL, expressible, head};
pub use text::{is_xml_char, urn, xml_text};

/// Atom's namespace.
pub const ATOM: &str = "http://www.w3.org/2005/Atom";
/// That of arXiv's own elements, and the scheme of its categories.
pub const ARXIV: &str = "http://arxiv.org/schemas/atom";
