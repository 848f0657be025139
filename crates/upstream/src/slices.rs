//! A search as pages of a size that arXiv gives.

use arxiv::{MAX_PAGE, PageRequest, ValidatedSearch};

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
    let mut slices = Vec::new();
    let mut from = start;
    while from < end && (from == start || total.is_none_or(|total| from < total)) {
        let count = (end - from).min(MAX_PAGE);
        slices.push(PageRequest {
            search: search.clone(),
            start: from,
            count,
        });
        from += count;
    }
    slices
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The start and the size of each page.
    type Pages = &'static [(u32, u32)];

    #[test]
    fn search_is_cut_into_pages_up_to_its_total() {
        let search = arxiv::Search {
            title: Some("x".into()),
            ..Default::default()
        }
        .validate()
        .unwrap();
        #[rustfmt::skip]
        let cases: [(u32, u32, Option<u32>, Pages); 10] = [
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
}
