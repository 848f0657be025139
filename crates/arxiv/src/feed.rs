//! arXiv's results, as plain data.

use std::fmt;

use jiff::Timestamp;
use paper::NO_AUTHORS;

/// An answer of arXiv: a page of results, and their total.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Feed {
    /// The feed's title, which repeats the query; empty if there is none.
    pub title: String,
    /// The total number of results, whatever the page.
    pub total: u32,
    /// The page's entries in arXiv's order, never more than requested.
    pub entries: Vec<Entry>,
    /// How many entries there were that are not among them, because they could not be read.
    pub dropped: usize,
    /// What was wrong with entries; the first twenty.
    pub defects: Vec<Defect>,
}

/// A paper. White space in each text is single spaces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// arXiv's identifier with the version, as a URL: `http://arxiv.org/abs/2405.00001v1`.
    pub id: String,
    /// The paper's title.
    pub title: String,
    /// The authors in the paper's order.
    pub authors: Vec<Author>,
    /// The abstract; empty if there is none.
    pub summary: String,
    /// The authors' comment.
    pub comment: Option<String>,
    /// The journal reference.
    pub journal: Option<String>,
    /// The DOI of the publication, as the authors gave it; several have spaces between.
    pub doi: Option<String>,
    /// arXiv's categories (`math.CO`), the primary one first, each once.
    pub categories: Vec<String>,
    /// When the first version was submitted.
    pub published: Option<Timestamp>,
    /// When this version was submitted.
    pub updated: Option<Timestamp>,
    /// The addresses of abstract, PDF and publication.
    pub links: Vec<Link>,
}

/// An author of a paper, or a collaboration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Author {
    /// The name as the paper has it.
    pub name: String,
    /// The institutions, if they were given.
    pub affiliations: Vec<String>,
}

/// A link of an entry; what an attribute does not say is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// The address.
    pub href: String,
    /// The relation: `alternate` (the abstract's page) or `related`.
    pub rel: String,
    /// What it leads to: `pdf` or `doi`.
    pub title: String,
}

/// Something wrong with an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defect {
    /// The entry's place in the answer, from 0.
    pub index: u32,
    /// The entry's identifier, as far as it can be read.
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
            write!(f, " ({})", short_id(&self.id))?;
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

impl Entry {
    /// The authors in one line.
    pub fn authors_text(&self) -> String {
        if self.authors.is_empty() {
            NO_AUTHORS.to_owned()
        } else {
            let names: Vec<_> = self.authors.iter().map(|author| author.name.as_str()).collect();
            names.join(", ")
        }
    }
}

/// The identifier as arXiv prints it: `2405.00001v2` for `http://arxiv.org/abs/2405.00001v2`; what has no
/// such place as it is.
pub fn short_id(id: &str) -> &str {
    id.split_once("/abs/").map_or(id, |(_, id)| id)
}

/// The identifier without scheme, host and version: `2405.00001` for `http://arxiv.org/abs/2405.00001v2`.
///
/// Two entries that agree in it are the same paper.
pub fn unversioned(id: &str) -> &str {
    let id = short_id(id);
    match id.rsplit_once('v') {
        Some((paper, version))
            if !paper.is_empty() && !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit()) =>
        {
            paper
        }
        _ => id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifier_without_version_is_the_same_for_all_versions() {
        let cases = [
            ("http://arxiv.org/abs/2405.00001v1", "2405.00001"),
            ("https://arxiv.org/abs/2405.00001v12", "2405.00001"),
            ("http://arxiv.org/abs/2405.00001", "2405.00001"),
            ("http://arxiv.org/abs/solv-int/9901001v2", "solv-int/9901001"),
            ("http://arxiv.org/abs/solv-int/9901001", "solv-int/9901001"),
            ("2405.00001v3", "2405.00001"),
            ("v1", "v1"),
            ("", ""),
        ];
        for (id, paper) in cases {
            assert_eq!(unversioned(id), paper, "{id}");
        }
    }

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

    #[test]
    fn authors_are_joined_in_one_line() {
        let entry = |authors: &[&str]| Entry {
            authors: authors
                .iter()
                .map(|name| Author {
                    name: (*name).to_owned(),
                    affiliations: Vec::new(),
                })
                .collect(),
            ..Entry::default()
        };
        assert_eq!(entry(&["A. B.", "C"]).authors_text(), "A. B., C");
        assert_eq!(entry(&[]).authors_text(), "No authors available");
    }
}
