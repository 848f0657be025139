//! One version of a paper.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{NO_AUTHORS, PaperId};

/// One version of a paper, as arXiv describes it. White space in each text is single spaces.
///
/// The name of a member is the same in stored pages, in the database and in the REST API.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct PaperVersion {
    /// arXiv's identifier, with the version.
    pub id: PaperId,
    /// The title, with arXiv's TeX.
    pub title: String,
    /// The authors in the paper's order.
    pub authors: Vec<Author>,
    /// The abstract, with arXiv's TeX; empty if there is none.
    #[serde(rename = "abstract")]
    pub abstract_text: String,
    /// The authors' comment: pages, figures, where the paper is to appear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The journal reference. arXiv often adds it to a version long after it was submitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<String>,
    /// The DOI of the publication, as the authors gave it; several have spaces between. Added later, as the journal reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doi: Option<String>,
    /// arXiv's categories (`math.CO`), the primary one first, each once.
    pub categories: Vec<String>,
    /// When the first version was submitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Timestamp>,
    /// When this version was submitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<Timestamp>,
    /// The addresses of abstract, PDF and publication.
    pub links: Vec<Link>,
}

/// An author of a paper, or a collaboration.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Author {
    /// The name as the paper has it.
    pub name: String,
    /// The institutions, if they were given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub affiliations: Vec<String>,
}

/// A link of a paper; what arXiv does not say of it is empty.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Link {
    /// The address.
    pub href: String,
    /// The relation: `alternate` (the abstract's page) or `related`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rel: String,
    /// What it leads to: `pdf` or `doi`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
}

impl PaperVersion {
    /// The authors in one line.
    pub fn authors_text(&self) -> String {
        if self.authors.is_empty() {
            return NO_AUTHORS.to_owned();
        }
        self.author_names()
    }

    /// The names of the authors in one line; empty if there are none.
    pub fn author_names(&self) -> String {
        let names: Vec<_> = self.authors.iter().map(|author| author.name.as_str()).collect();
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authors_are_joined_in_one_line() {
        let paper = |authors: &[&str]| PaperVersion {
            authors: authors
                .iter()
                .map(|name| Author {
                    name: (*name).to_owned(),
                    affiliations: Vec::new(),
                })
                .collect(),
            ..PaperVersion::default()
        };
        assert_eq!(paper(&["A. B.", "C"]).authors_text(), "A. B., C");
        assert_eq!(paper(&[]).authors_text(), "No authors available");
    }

    #[test]
    fn stored_version_is_read_back() {
        let paper = PaperVersion {
            id: PaperId::of_entry("http://arxiv.org/abs/2405.00001v2"),
            title: "On $x$".into(),
            abstract_text: "We show $x$.".into(),
            categories: vec!["math.CO".into()],
            updated: Some(Timestamp::UNIX_EPOCH),
            ..PaperVersion::default()
        };
        let json = serde_json::to_string(&paper).unwrap();
        assert!(
            json.starts_with(
                r#"{"id":"2405.00001v2","title":"On $x$","authors":[],"abstract":"We show $x$.""#
            ),
            "{json}"
        );
        assert_eq!(serde_json::from_str::<PaperVersion>(&json).unwrap(), paper);
    }
}
