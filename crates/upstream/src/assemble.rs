//! The pages of a search as one result.

use std::collections::HashSet;

use arxiv::{query_in_title, unversioned};
use jiff::Timestamp;
use storage::{Page, PageEntry};

/// The result of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assembled {
    /// How many results arXiv has in all. Later pages may differ a little; the first one counts.
    pub total: u32,
    /// The query as arXiv ran it, as its first page says.
    pub query: String,
    /// The first page's HTTP status.
    pub status: u16,
    /// When arXiv answered with the first page, if it said so.
    pub date: Option<Timestamp>,
    /// When the first page was stored, by the database's clock.
    pub fetched_at: Timestamp,
    /// The papers in arXiv's order, each once.
    pub entries: Vec<PageEntry>,
}

/// Puts the pages of a search together, in their order; none if there are none.
pub fn assemble(pages: Vec<Page>) -> Option<Assembled> {
    let mut pages = pages.into_iter();
    let Page {
        total,
        title,
        date,
        status,
        entries,
        fetched_at,
    } = pages.next()?;
    let mut distinct = Distinct::default();
    let mut entries = distinct.of(entries);
    for page in pages {
        entries.append(&mut distinct.of(page.entries));
    }
    Some(Assembled {
        total,
        query: query_in_title(&title).to_owned(),
        status,
        date,
        fetched_at,
        entries,
    })
}

/// Leaves out papers that came before, page by page.
///
/// Between two requests a paper may have moved from one page to the next one, so a paper that comes a second
/// time, in whatever version, is left out.
#[derive(Debug, Default)]
pub struct Distinct {
    seen: HashSet<String>,
}

impl Distinct {
    /// The papers of the next page that no page before has, each once.
    pub fn of(&mut self, mut page: Vec<PageEntry>) -> Vec<PageEntry> {
        // An entry without an identifier cannot be told from others, so it is nobody's double.
        page.retain(|entry| entry.id.is_empty() || self.seen.insert(unversioned(&entry.id).to_owned()));
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(total: u32, query: &str, ids: &[&str]) -> Page {
        let entry = |id: &&str| PageEntry {
            id: (*id).to_owned(),
            authors: "A".into(),
            title: format!("{id} of {query}"),
            journal: String::new(),
            categories: String::new(),
        };
        Page {
            total,
            title: format!("arXiv Query: {query}"),
            date: Some(Timestamp::from_second(i64::from(total)).unwrap()),
            status: 200,
            entries: ids.iter().map(entry).collect(),
            fetched_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_paper_counts_once_and_the_first_page_counts() {
        let assembled = assemble(vec![
            page(
                5,
                "first",
                &["http://arxiv.org/abs/1v1", "http://arxiv.org/abs/2v1", ""],
            ),
            page(
                4,
                "second",
                &["http://arxiv.org/abs/2v2", "https://arxiv.org/abs/3v1", ""],
            ),
            page(
                6,
                "third",
                &["http://arxiv.org/abs/3v1", "http://arxiv.org/abs/4v1"],
            ),
        ])
        .unwrap();
        let titles: Vec<_> = assembled
            .entries
            .iter()
            .map(|entry| entry.title.as_str())
            .collect();
        assert_eq!(
            titles,
            [
                "http://arxiv.org/abs/1v1 of first",
                "http://arxiv.org/abs/2v1 of first",
                " of first",
                "https://arxiv.org/abs/3v1 of second",
                " of second",
                "http://arxiv.org/abs/4v1 of third",
            ]
        );
        assert_eq!((assembled.total, assembled.query.as_str()), (5, "first"));
        assert_eq!(assembled.date, Some(Timestamp::from_second(5).unwrap()));
        assert_eq!(assemble(Vec::new()), None);
    }
}
