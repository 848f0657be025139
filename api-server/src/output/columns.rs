//! The columns of results, of which clients may choose some.

use serde::Serialize;

use crate::output::citation::FoundPaper;
use paper::{Author, Link, PaperVersion};

/// A column; its name is that of the field in JSON.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Column {
    Author,
    Title,
    Journal,
    QueryId,
    Timestamp,
    ArxivId,
    Categories,
    Authors,
    Doi,
    Published,
    Updated,
    Comment,
    Abstract,
    Links,
}

use Column::{
    Abstract, ArxivId, Author as AuthorText, Authors, Categories, Comment, Doi, Journal, Links, Published,
    QueryId, Timestamp, Title, Updated,
};

/// All columns in their order.
const ALL: [(Column, &str); 14] = [
    (AuthorText, "author"),
    (Title, "title"),
    (Journal, "journal"),
    (QueryId, "query_id"),
    (Timestamp, "timestamp"),
    (ArxivId, "arxiv_id"),
    (Categories, "categories"),
    (Authors, "authors"),
    (Doi, "doi"),
    (Published, "published"),
    (Updated, "updated"),
    (Comment, "comment"),
    (Abstract, "abstract"),
    (Links, "links"),
];

impl Column {
    /// Whether it is about the whole paper, of which a row of results has a part.
    pub(crate) fn is_of_whole_paper(self) -> bool {
        matches!(
            self,
            Authors | Doi | Published | Updated | Comment | Abstract | Links
        )
    }
}

/// A choice of columns.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Columns(u16);

impl Columns {
    pub(crate) const NONE: Self = Self(0);
    /// Those of the existing service.
    pub(crate) const COMPATIBLE: Self = Self(0b111);
    pub(crate) const ALL: Self = Self((1 << ALL.len()) - 1);
    /// The names of all columns.
    pub(crate) const NAMES: [&'static str; ALL.len()] = {
        let mut names = [""; ALL.len()];
        let mut place = 0;
        while place < names.len() {
            names[place] = ALL[place].1;
            place += 1;
        }
        names
    };

    /// The columns with these names, with commas between; or the name that no column has.
    pub(crate) fn named(names: &str) -> Result<Self, &str> {
        names.split(',').try_fold(Self::NONE, |columns, name| {
            let place = ALL
                .iter()
                .position(|(_, known)| *known == name.trim())
                .ok_or(name)?;
            Ok(Self(columns.0 | 1 << place))
        })
    }

    fn chosen(self) -> impl Iterator<Item = (Column, &'static str)> {
        let all = ALL.into_iter().enumerate();
        all.filter(move |(place, _)| self.0 & (1 << place) != 0)
            .map(|(_, column)| column)
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Column> {
        self.chosen().map(|(column, _)| column)
    }

    /// The first line of CSV.
    pub(crate) fn head(self) -> String {
        let names: Vec<_> = self.chosen().map(|(_, name)| name).collect();
        names.join(",") + "\r\n"
    }

    /// The values of a paper, with their names.
    pub(crate) fn of(self, found: &FoundPaper) -> Vec<(&'static str, Cell<'_>)> {
        self.chosen()
            .map(|(column, name)| (name, cell(column, found)))
            .collect()
    }
}

/// A value of a row.
#[derive(Clone, Copy, Serialize)]
#[serde(untagged)]
pub(crate) enum Cell<'a> {
    Text(Option<&'a str>),
    Number(Option<i64>),
    Time(Option<jiff::Timestamp>),
    Authors(Option<&'a [Author]>),
    Links(Option<&'a [Link]>),
}

impl Cell<'_> {
    /// As CSV has it; authors and addresses have `; ` between.
    pub(crate) fn text(self) -> String {
        match self {
            Cell::Text(text) => text.unwrap_or_default().to_owned(),
            Cell::Number(number) => number.map(|number| number.to_string()).unwrap_or_default(),
            Cell::Time(time) => time.map(|time| time.to_string()).unwrap_or_default(),
            Cell::Authors(authors) => {
                let names = authors
                    .unwrap_or_default()
                    .iter()
                    .map(|author| author.name.as_str());
                names.collect::<Vec<_>>().join("; ")
            }
            Cell::Links(links) => {
                let addresses = links.unwrap_or_default().iter().map(|link| link.href.as_str());
                addresses.collect::<Vec<_>>().join("; ")
            }
        }
    }
}

fn cell(column: Column, found: &FoundPaper) -> Cell<'_> {
    let row = &found.row;
    let whole = found.whole.as_ref();
    let text = |text: fn(&PaperVersion) -> Option<&str>| Cell::Text(whole.and_then(text));
    match column {
        AuthorText => Cell::Text(Some(&row.paper.author)),
        Title => Cell::Text(Some(&row.paper.title)),
        Journal => Cell::Text(Some(&row.paper.journal)),
        QueryId => Cell::Number(row.query_id),
        Timestamp => Cell::Number(row.timestamp),
        ArxivId => Cell::Text(row.paper.arxiv_id.as_deref()),
        Categories => Cell::Text(row.paper.categories.as_deref()),
        Authors => Cell::Authors(whole.map(|paper| paper.authors.as_slice())),
        Doi => text(|paper| paper.doi.as_deref()),
        Published => Cell::Time(whole.and_then(|paper| paper.published)),
        Updated => Cell::Time(whole.and_then(|paper| paper.updated)),
        Comment => text(|paper| paper.comment.as_deref()),
        Abstract => text(|paper| Some(paper.abstract_text.as_str())),
        Links => Cell::Links(whole.map(|paper| paper.links.as_slice())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_chosen_by_name_and_keep_their_order() {
        let columns = Columns::named("doi, title").unwrap();
        assert_eq!(columns.head(), "title,doi\r\n");
        assert!(columns.iter().any(Column::is_of_whole_paper));
        assert_eq!(Columns::named("title,titel"), Err("titel"));
        assert_eq!(Columns::named(""), Err(""));
        assert_eq!(Columns::COMPATIBLE.head(), "author,title,journal\r\n");
        assert!(!Columns::COMPATIBLE.iter().any(Column::is_of_whole_paper));
        assert_eq!(Columns::ALL.iter().count(), ALL.len());
    }
}
