//! A search is cut into pages of a size that arXiv gives, and its pages are joined to one result.

use std::collections::HashSet;

use arxiv::{MAX_PAGE, PageRequest, ValidatedSearch, short_id, unversioned};
use storage::{Page, Paper};

/// The pages that make up `max_results` results from the `start`-th on, of at most [`MAX_PAGE`] entries each.
///
/// Once the first page has reported the `total`, pages past it are left out; the first one is always
/// included.
pub fn slices(
    search: &ValidatedSearch,
    start: u32,
    max_results: u32,
    total: Option<u32>,
) -> Vec<PageRequest> {
    let end = start.saturating_add(max_results);
    let starts = (start..end).step_by(MAX_PAGE as usize);
    starts
        .take_while(|from| *from == start || total.is_none_or(|total| *from < total))
        .map(|from| PageRequest {
            search: search.clone(),
            start: from,
            count: (end - from).min(MAX_PAGE),
        })
        .collect()
}

/// Joins the pages of a search, in their order; none if there are none. Each paper is there once, and the rest
/// is that of the first page: later ones may differ a little.
pub fn assemble(pages: Vec<Page>) -> Option<Page> {
    let mut dedup = Dedup::default();
    let mut pages = pages.into_iter().map(|page| Page {
        papers: dedup.filter(page.papers),
        ..page
    });
    let mut all = pages.next()?;
    all.papers.extend(pages.flat_map(|page| page.papers));
    Some(all)
}

/// Removes papers that an earlier page has, page by page.
///
/// Between two requests a paper may move from one page to the next one, so a paper that comes a second time on another
/// page, in any version, is removed. On one page there may be several versions, for a search that names them.
#[derive(Debug, Default)]
pub struct Dedup {
    seen: HashSet<String>,
}

impl Dedup {
    /// The papers of the next page that no page before has, each version once.
    pub fn filter(&mut self, mut page: Vec<Paper>) -> Vec<Paper> {
        let mut of_page = HashSet::new();
        // A paper without an identifier cannot be compared, so it is not left out.
        page.retain(|paper| {
            paper.arxiv_id.as_deref().is_none_or(|id| {
                !self.seen.contains(unversioned(id)) && of_page.insert(short_id(id).to_owned())
            })
        });
        self.seen
            .extend(of_page.iter().map(|id| unversioned(id).to_owned()));
        page
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use storage::PageHead;

    use super::*;

    /// The start and the size of each page.
    type Slices = &'static [(u32, u32)];

    #[test]
    fn search_is_cut_into_pages_up_to_its_total() {
        let search = ValidatedSearch::new("ti:x".into(), String::new(), "", "");
        #[rustfmt::skip]
        let cases: [(u32, u32, Option<u32>, Slices); 10] = [
            (0, 8, None, &[(0, 8)]),
            (0, 2000, None, &[(0, 2000)]),
            (0, 2001, None, &[(0, 2000), (2000, 1)]),
            (7, 4500, None, &[(7, 2000), (2007, 2000), (4007, 500)]),
            // Pages past the total are left out, but never the first one.
            (0, 6000, Some(2000), &[(0, 2000)]),
            (0, 6000, Some(2001), &[(0, 2000), (2000, 2000)]),
            (0, 6000, Some(0), &[(0, 2000)]),
            (50, 4000, Some(10), &[(50, 2000)]),
            // A page keeps its size whatever the total, as it is the same page for every search.
            (0, 30_000, Some(3000), &[(0, 2000), (2000, 2000)]),
            (u32::MAX - 1, 8, None, &[(u32::MAX - 1, 1)]),
        ];
        for (start, max_results, total, expected) in cases {
            let slices = slices(&search, start, max_results, total);
            let slices: Vec<_> = slices.iter().map(|slice| (slice.start, slice.count)).collect();
            assert_eq!(slices, expected, "{start} {max_results} {total:?}");
        }
    }

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
                defects: Vec::new(),
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
                &[
                    "http://arxiv.org/abs/1v1",
                    "http://arxiv.org/abs/2v7",
                    "http://arxiv.org/abs/2v1",
                    "https://arxiv.org/abs/2v1",
                    "",
                ],
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
                "http://arxiv.org/abs/2v7 of first",
                "http://arxiv.org/abs/2v1 of first",
                " of first",
                "https://arxiv.org/abs/3v1 of second",
                " of second",
                "http://arxiv.org/abs/4v1 of third",
            ]
        );
        assert_eq!(assembled.head.total, 5);
        assert_eq!(assembled.head.title, "arXiv Query: first");
        assert_eq!(assembled.head.date, Some(Timestamp::from_second(5).unwrap()));
        assert_eq!(assemble(Vec::new()), None);
    }
}
