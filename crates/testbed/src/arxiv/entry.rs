//! One paper in arXiv's format.

use std::fmt::Write;

use jiff::Timestamp;

use super::behaviour::FeedFormat;

/// A version of a paper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// With its version.
    pub(super) id: String,
    pub(super) title: String,
    pub(super) summary: String,
    pub(super) authors: Vec<String>,
    pub(super) comment: String,
    pub(super) journal: Option<String>,
    pub(super) doi: Option<String>,
    /// Of the first author.
    pub(super) affiliation: Option<&'static str>,
    /// The primary one is the first.
    pub(super) categories: Vec<String>,
    pub(super) published: Timestamp,
    pub(super) updated: Timestamp,
}

impl Entry {
    /// The element `entry`. Title and summary are in the text as they are, other texts with entities.
    pub(super) fn write(&self, form: FeedFormat) -> String {
        let Self {
            id,
            title,
            summary,
            published,
            updated,
            ..
        } = self;
        let namespace = match form {
            FeedFormat::Older => " xmlns:arxiv=\"http://arxiv.org/schemas/atom\"",
            FeedFormat::Newer => "",
        };
        let mut affiliation = self.affiliation.map_or_else(String::new, |name| {
            format!("      <arxiv:affiliation{namespace}>{name}</arxiv:affiliation>\n")
        });
        let authors = self.authors.iter().fold(String::new(), |mut text, name| {
            let _ = write!(
                text,
                "    <author>\n      <name>{}</name>\n{affiliation}    </author>\n",
                super::feed::escape(name)
            );
            affiliation.clear();
            text
        });
        let journal = self.journal.as_ref().map_or_else(String::new, |journal| {
            format!("    <arxiv:journal_ref{namespace}>{journal}</arxiv:journal_ref>\n")
        });
        let doi = self.doi.as_ref().map_or_else(String::new, |doi| {
            format!(
                "    <arxiv:doi{namespace}>{doi}</arxiv:doi>\n    \
                 <link title=\"doi\" href=\"http://dx.doi.org/{doi}\" rel=\"related\"/>\n"
            )
        });
        let comment = format!("    <arxiv:comment{namespace}>{}</arxiv:comment>\n", self.comment);
        let primary = self.categories.first().map_or_else(String::new, |category| {
            format!("    <arxiv:primary_category{namespace} term=\"{category}\"/>\n")
        });
        let categories = self.categories.iter().fold(String::new(), |mut text, category| {
            let _ = writeln!(
                text,
                "    <category term=\"{category}\" scheme=\"http://arxiv.org/schemas/atom\"/>"
            );
            text
        });
        match form {
            FeedFormat::Older => format!(
                "  <entry>\n    <id>http://arxiv.org/abs/{id}</id>\n    <updated>{updated}</updated>\n    \
                 <published>{published}</published>\n    <title>{title}</title>\n    <summary>{summary}</summary>\n\
                 {authors}{comment}{journal}{doi}    \
                 <link href=\"http://arxiv.org/abs/{id}\" rel=\"alternate\" type=\"text/html\"/>\n    \
                 <link title=\"pdf\" href=\"http://arxiv.org/pdf/{id}\" rel=\"related\" type=\"application/pdf\"/>\n\
                 {primary}{categories}  </entry>\n"
            ),
            FeedFormat::Newer => format!(
                "  <entry>\n    <id>http://arxiv.org/abs/{id}</id>\n    <title>{title}</title>\n    \
                 <updated>{updated}</updated>\n    \
                 <link href=\"https://arxiv.org/abs/{id}\" rel=\"alternate\" type=\"text/html\"/>\n    \
                 <link href=\"https://arxiv.org/pdf/{id}\" rel=\"related\" type=\"application/pdf\" title=\"pdf\"/>\n    \
                 <summary>{summary}</summary>\n{categories}    <published>{published}</published>\n\
                 {comment}{primary}{journal}{doi}{authors}  </entry>\n"
            ),
        }
    }
}
