//! A search is cut into pages of a size that arXiv gives, and each of its papers is taken from one of them.

use std::{collections::HashSet, sync::Arc};

use arxiv::{MAX_PAGE, PageRequest, ValidatedSearch};
use jiff::Timestamp;
use paper::PaperVersion;

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

/// How many results a page of a run of a feed has in common with the page before it. Where the first number does not show that
/// nothing was passed over between the two, the page is requested again with the second one.
pub const OVERLAPS: [u32; 2] = [50, 1_000];

/// The pages after the first ones of a run of a feed, which end before the result `covered`, up to `end` or the `total`. The first of
/// them has `overlap` results in common with the page before it, the others have the first of [`OVERLAPS`].
pub fn overlapping_slices(
    search: &ValidatedSearch,
    mut covered: u32,
    end: u32,
    total: u32,
    mut overlap: u32,
) -> Vec<PageRequest> {
    let mut slices = Vec::new();
    while covered < end.min(total) {
        let start = covered.saturating_sub(overlap);
        let slice = PageRequest {
            search: search.clone(),
            start,
            count: (end - start).min(MAX_PAGE),
        };
        covered = start + slice.count;
        overlap = OVERLAPS[0];
        slices.push(slice);
    }
    slices
}

/// The first and the last update of a page whose papers are sorted by it, newest first.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Updates {
    newest: Option<Timestamp>,
    oldest: Option<Timestamp>,
}

impl Updates {
    /// Those of these papers.
    pub fn of(papers: &[PaperVersion]) -> Self {
        let mut updates = papers.iter().filter_map(|paper| paper.updated);
        let newest = updates.next();
        Self {
            newest,
            oldest: updates.next_back().or(newest),
        }
    }

    /// Whether no paper that is wanted was passed over between the page before, which has these updates, and this one. Papers are
    /// removed between two requests, and those with equal dates come in another order, so this page has to begin with a newer one
    /// than the last of the page before. Papers from before `updated_after` are not wanted.
    pub fn follows(self, before: Self, updated_after: Option<Timestamp>) -> bool {
        before.oldest.is_some_and(|oldest| {
            self.newest.is_some_and(|newest| newest > oldest)
                || updated_after.is_some_and(|after| oldest < after)
        })
    }
}

/// Removes the papers of a page whose last version is older than this. Whether none is left: then so are all pages after
/// it, as the papers are sorted by their last versions. One without a date is not removed for that.
pub fn remove_older(papers: &mut Vec<PaperVersion>, updated_after: Option<Timestamp>) -> bool {
    let Some(after) = updated_after else {
        return false;
    };
    papers.retain(|paper| paper.updated.is_none_or(|updated| updated >= after));
    papers.is_empty()
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
    pub fn filter(&mut self, mut page: Arc<Vec<PaperVersion>>) -> Arc<Vec<PaperVersion>> {
        let mut of_page = HashSet::new();
        let is_kept =
            |paper: &PaperVersion| !self.seen.contains(&paper.id.paper) && of_page.insert(paper.id.clone());
        let kept: Vec<bool> = page.iter().map(is_kept).collect();
        self.seen.extend(of_page.into_iter().map(|id| id.paper));
        // Mostly all are, and the page is shared with other searches.
        if kept.contains(&false) {
            let mut kept = kept.into_iter();
            Arc::make_mut(&mut page).retain(|_| kept.next().unwrap_or(true));
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use paper::PaperId;

    use super::*;

    /// The start and the size of each page.
    type Slices = &'static [(u32, u32)];
    /// When each paper of a page had its last version.
    type Times = &'static [Option<i64>];

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

    #[test]
    fn pages_of_a_run_of_a_feed_have_results_in_common() {
        let search = ValidatedSearch::new("ti:x".into(), String::new(), "", "");
        let [narrow, wide] = OVERLAPS;
        #[rustfmt::skip]
        let cases: [(u32, u32, u32, u32, Slices); 8] = [
            (2000, 4000, 9000, narrow, &[(1950, 2000), (3900, 100)]),
            (2000, 4000, 9000, wide, &[(1000, 2000), (2950, 1050)]),
            (2000, 30_000, 2001, narrow, &[(1950, 2000)]),
            (2000, 2001, 9000, narrow, &[(1950, 51)]),
            // Pages past the end or the total are left out.
            (2000, 2000, 9000, narrow, &[]),
            (2000, 30_000, 2000, narrow, &[]),
            (2000, 30_000, 3950, narrow, &[(1950, 2000)]),
            (u32::MAX - 1, u32::MAX, u32::MAX, narrow, &[(u32::MAX - 51, 51)]),
        ];
        for (covered, end, total, overlap, expected) in cases {
            let slices = overlapping_slices(&search, covered, end, total, overlap);
            let slices: Vec<_> = slices.iter().map(|slice| (slice.start, slice.count)).collect();
            assert_eq!(slices, expected, "{covered} {end} {total} {overlap}");
        }
    }

    #[test]
    fn page_follows_another_one_if_it_begins_with_a_newer_paper_than_that_ends_with() {
        #[rustfmt::skip]
        let cases: [(&str, Times, Times, Option<i64>, bool); 10] = [
            ("papers in common", &[Some(9), Some(5)], &[Some(6), Some(4)], None, true),
            ("some were removed", &[Some(9), Some(5)], &[Some(4), Some(3)], None, false),
            ("equal dates may have changed their order", &[Some(9), Some(5)], &[Some(5), Some(4)], None, false),
            ("all dates are equal", &[Some(5), Some(5)], &[Some(5), Some(5)], None, false),
            ("nothing after it is wanted", &[Some(9), Some(5)], &[Some(4)], Some(6), true),
            ("the last one is wanted", &[Some(9), Some(5)], &[Some(4)], Some(5), false),
            ("one paper each", &[Some(5)], &[Some(6)], None, true),
            ("the results end earlier", &[Some(9), Some(5)], &[], None, false),
            ("some have no date", &[Some(9), Some(5), None], &[None, Some(6)], None, true),
            ("none has a date", &[None], &[None], None, false),
        ];
        for (name, before, after, wanted, expected) in cases {
            let follows = Updates::of(&page(after)).follows(Updates::of(&page(before)), wanted.map(at));
            assert_eq!(follows, expected, "{name}");
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn page(times: &[Option<i64>]) -> Vec<PaperVersion> {
        let papers = times.iter().map(|time| PaperVersion {
            updated: time.map(at),
            ..PaperVersion::default()
        });
        papers.collect()
    }

    #[test]
    fn older_papers_of_a_page_are_removed_and_only_older_ones_end_the_search() {
        let cases: [(Times, Option<i64>, usize, bool); 6] = [
            (&[Some(1), Some(9)], None, 2, false),
            (&[], None, 0, false),
            (&[Some(9), Some(5), Some(4)], Some(5), 2, false),
            (&[Some(4), Some(5)], Some(5), 1, false),
            (&[Some(4), Some(1)], Some(5), 0, true),
            (&[Some(4), None], Some(5), 1, false),
        ];
        for (times, after, left, ends) in cases {
            let mut papers = page(times);
            assert_eq!(
                remove_older(&mut papers, after.map(at)),
                ends,
                "{times:?} {after:?}"
            );
            assert_eq!(papers.len(), left, "{times:?} {after:?}");
        }
    }

    #[test]
    fn paper_is_taken_from_the_first_page_that_has_it_in_all_versions_of_that_page() {
        let mut dedup = Dedup::default();
        let mut filter = |ids: &[&str]| {
            let paper = |id: &&str| PaperVersion {
                id: PaperId::of_entry(id),
                ..PaperVersion::default()
            };
            let page: Vec<_> = ids.iter().map(paper).collect();
            let kept = dedup.filter(page.into());
            kept.iter().map(|paper| paper.id.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(filter(&["1v1", "2v7", "2v1", "2v1"]), ["1v1", "2v7", "2v1"]);
        assert_eq!(filter(&["2v2", "3v1", "2"]), ["3v1"]);
        assert_eq!(filter(&["3v1", "4v1"]), ["4v1"]);
    }
}
