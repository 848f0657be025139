//! The pages of a search as one result.

use std::collections::HashSet;

use arxiv::{query_in_title, unversioned};
use jiff::Timestamp;
use storage::{Page, PageHead, Paper};

/// The result of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assembled {
    /// The head of the first page, which counts for all pages. Later heads may differ a little.
    pub head: PageHead,
    /// When the first page was stored, by the database's clock.
    pub fetched_at: Timestamp,
    /// The papers in arXiv's order, each once.
    pub papers: Vec<Paper>,
}

impl Assembled {
    /// The query as arXiv ran it.
    pub fn query(&self) -> &str {
        query_in_title(&self.head.title)
    }
}

/// Joins the pages of a search, in their order; none if there are none.
pub fn assemble(pages: Vec<Page>) -> Option<Assembled> {
    let mut pages = pages.into_iter();
    let first = pages.next()?;
    let mut dedup = Dedup::default();
    let mut papers = dedup.filter(first.papers);
    for page in pages {
        papers.append(&mut dedup.filter(page.papers));
    }
    Some(Assembled {
        head: first.head,
        fetched_at: first.fetched_at,
        papers,
    })
}

/// Removes papers that an earlier page has, page by page.
///
/// Between two requests a paper may move from one page to the next one, so a paper that comes a second time,
/// in any version, is removed.
#[derive(Debug, Default)]
pub struct Dedup {
    seen: HashSet<String>,
}

impl Dedup {
    /// The papers of the next page that no page before has, each once.
    pub fn filter(&mut self, mut page: Vec<Paper>) -> Vec<Paper> {
        // A paper without an identifier cannot be compared, so it is not left out.
        page.retain(|paper| {
            let id = paper.arxiv_id.as_deref();
            id.is_none_or(|id| self.seen.insert(unversioned(id).to_owned()))
        });
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(total: u32, query: &str, ids: &[&str]) -> Page {
        let paper = |id: &&str| Paper {
            author: "A".into(),
            title: format!("{id} of {query}"),
            arxiv_id: (!id.is_empty()).then(|| (*id).to_owned()),
            ..Paper::default()
        };
        Page {
            head: PageHead {
                total,
                title: format!("arXiv Query: {query}"),
                date: Some(Timestamp::from_second(i64::from(total)).unwrap()),
                status: 200,
            },
            papers: ids.iter().map(paper).collect(),
            fetched_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn assembled_result_has_each_paper_once_and_the_total_of_the_first_page() {
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
            .papers
            .iter()
            .map(|paper| paper.title.as_str())
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
        assert_eq!((assembled.head.total, assembled.query()), (5, "first"));
        assert_eq!(assembled.head.date, Some(Timestamp::from_second(5).unwrap()));
        assert_eq!(assemble(Vec::new()), None);
    }
}
