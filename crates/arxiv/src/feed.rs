//! arXiv's results, as plain data.

use std::fmt;

use paper::PaperVersion;

/// An answer of arXiv: a page of results, and their total.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Feed {
    /// The feed's title, which repeats the query; empty if there is none.
    pub title: String,
    /// The total number of results, whatever the page.
    pub total: u32,
    /// The page's entries in arXiv's order, never more than requested.
    pub entries: Vec<PaperVersion>,
    /// How many entries there were that are not among them, because they could not be read.
    pub dropped: usize,
    /// What was wrong with entries; the first twenty.
    pub defects: Vec<Defect>,
}

/// Something wrong with an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defect {
    /// The entry's place in the answer, from 0.
    pub index: u32,
    /// The paper's identifier, as far as it can be read.
    pub id: String,
    /// What is wrong.
    pub kind: DefectKind,
}

/// What is wrong with an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefectKind {
    /// It was read after a repair: bytes that are no characters, or text that looks like markup.
    Repaired,
    /// It could not be read, and was dropped; why.
    Unreadable(String),
    /// It names no paper, and was dropped.
    NoId,
}

impl Defect {
    /// Whether a paper may have been lost by it.
    pub fn is_unreadable(&self) -> bool {
        matches!(self.kind, DefectKind::Unreadable(_))
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.index.saturating_add(1);
        write!(f, "entry {number}")?;
        if !self.id.is_empty() {
            write!(f, " ({})", self.id)?;
        }
        match &self.kind {
            DefectKind::Repaired => write!(f, " was repaired"),
            DefectKind::Unreadable(why) => write!(f, " {why}"),
            DefectKind::NoId => write!(f, " has no identifier"),
        }
    }
}

/// The query as arXiv ran it, which a feed's title repeats after its first `: `; empty if there is none.
pub fn query_in_title(title: &str) -> &str {
    title.split_once(": ").map_or("", |(_, query)| query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_follows_the_first_colon_and_space_of_the_title() {
        let cases = [
            (
                "ArXiv Query: search_query=ti:x&id_list=",
                "search_query=ti:x&id_list=",
            ),
            ("arXiv Query: a: b", "a: b"),
            ("arXiv Search Results", ""),
            ("", ""),
        ];
        for (title, query) in cases {
            assert_eq!(query_in_title(title), query, "{title}");
        }
    }
}
