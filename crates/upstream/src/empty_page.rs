//! Whether an empty page is accepted. arXiv sometimes answers without entries where there are some.

use std::time::Duration;

/// Retries of an empty page whose own total says that it should have entries.
const MAX_GAP_RETRIES: u32 = 3;

/// Retries of a search without results before the answer is accepted.
const MAX_NO_RESULT_RETRIES: u32 = 1;

/// How long a stored page without results is used: not for a day, since it may be wrong all the same.
const NO_RESULTS_MAX_AGE: Duration = Duration::from_mins(10);

/// What an answer says about its page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Observation {
    /// The position of the page's first entry, from 0.
    pub(crate) start: u32,
    /// The number of entries.
    pub(crate) entries: usize,
    /// The total number of results that it reports.
    pub(crate) total: u32,
    /// The total that the stored page before it reports, if there is one.
    pub(crate) total_before: Option<u32>,
    /// The search names its papers. arXiv counts those that it does not have, and leaves them out.
    pub(crate) names_papers: bool,
}

/// The answers for a page that were not accepted so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Retries {
    /// Answers that left a gap: empty, although there should be entries.
    gaps: u32,
    /// Answers without any results.
    no_results: u32,
}

/// What to do with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Store the page, for this long, or for its day.
    Keep(Option<Duration>),
    /// Fetch it again.
    FetchAgain,
    /// Fail: it was fetched often enough.
    Incomplete,
}

/// Decides on an answer, given the rejected answers before it; a rejected answer is counted among them.
///
/// After an answer with a total, answers without results are never accepted: they contradict it.
pub(crate) fn evaluate(observation: Observation, retries: &mut Retries) -> Decision {
    // A page with entries is accepted even if it has fewer than requested: totals are not exact.
    if observation.entries > 0 {
        return Decision::Keep(None);
    }
    let finds_nothing = observation.total == 0 || observation.names_papers;
    let contradicts_itself = observation.start < observation.total;
    let contradicts_others = finds_nothing
        && (retries.gaps > 0
            || observation
                .total_before
                .is_some_and(|total| observation.start < total));
    let is_gap = !observation.names_papers && (contradicts_itself || contradicts_others);
    if is_gap {
        retries.gaps += 1;
        return if retries.gaps > MAX_GAP_RETRIES {
            Decision::Incomplete
        } else {
            Decision::FetchAgain
        };
    }
    if !finds_nothing {
        // Past the end, as the answer itself says.
        return Decision::Keep(None);
    }
    retries.no_results += 1;
    if retries.no_results > MAX_NO_RESULT_RETRIES {
        Decision::Keep(Some(NO_RESULTS_MAX_AGE))
    } else {
        Decision::FetchAgain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_page_is_fetched_again_before_it_is_accepted() {
        use Decision::{FetchAgain, Incomplete, Keep};
        let minutes = Keep(Some(NO_RESULTS_MAX_AGE));
        #[rustfmt::skip]
        let cases = [
            // (start, entries, total, total before, verdicts after 0, 1, 2, 3 retries)
            ("entries", 0, 8, 1234, None, [Keep(None), Keep(None), Keep(None), Keep(None)]),
            ("fewer entries than promised", 0, 3, 1234, None, [Keep(None), Keep(None), Keep(None), Keep(None)]),
            ("entries but no total", 0, 3, 0, None, [Keep(None), Keep(None), Keep(None), Keep(None)]),
            ("nothing", 0, 0, 0, None, [FetchAgain, minutes, minutes, minutes]),
            ("nothing, from further on", 50, 0, 0, None, [FetchAgain, minutes, minutes, minutes]),
            ("a gap", 2000, 0, 5000, None, [FetchAgain, FetchAgain, FetchAgain, Incomplete]),
            ("a gap at the start", 0, 0, 5, None, [FetchAgain, FetchAgain, FetchAgain, Incomplete]),
            ("a gap that denies the rest", 2000, 0, 0, Some(5000), [FetchAgain, FetchAgain, FetchAgain, Incomplete]),
            ("past the end", 50, 0, 10, None, [Keep(None), Keep(None), Keep(None), Keep(None)]),
            ("past an end that came nearer", 2000, 0, 1999, Some(2001), [Keep(None), Keep(None), Keep(None), Keep(None)]),
            ("nothing after nothing", 2000, 0, 0, Some(0), [FetchAgain, minutes, minutes, minutes]),
        ];
        for (name, start, entries, total, total_before, verdicts) in cases {
            let mut retries = Retries::default();
            for (count, verdict) in verdicts.into_iter().enumerate() {
                let observation = Observation {
                    start,
                    entries,
                    total,
                    total_before,
                    names_papers: false,
                };
                assert_eq!(evaluate(observation, &mut retries), verdict, "{name}, {count}");
            }
        }
    }

    #[test]
    fn answer_without_results_is_not_accepted_after_a_total() {
        use Decision::{FetchAgain, Incomplete, Keep};
        let gap = Observation {
            start: 0,
            entries: 0,
            total: 5000,
            total_before: None,
            names_papers: false,
        };
        let nothing = Observation { total: 0, ..gap };
        let whole = Observation { entries: 8, ..gap };
        let cases: [&[(Observation, Decision)]; 4] = [
            &[
                (gap, FetchAgain),
                (gap, FetchAgain),
                (gap, FetchAgain),
                (nothing, Incomplete),
            ],
            &[
                (gap, FetchAgain),
                (nothing, FetchAgain),
                (nothing, FetchAgain),
                (nothing, Incomplete),
            ],
            &[
                (nothing, FetchAgain),
                (gap, FetchAgain),
                (nothing, FetchAgain),
                (whole, Keep(None)),
            ],
            &[(nothing, FetchAgain), (nothing, Keep(Some(NO_RESULTS_MAX_AGE)))],
        ];
        for case in cases {
            let mut retries = Retries::default();
            for (observation, verdict) in case {
                assert_eq!(evaluate(*observation, &mut retries), *verdict, "{case:?}");
            }
        }
    }

    #[test]
    fn search_for_named_papers_that_do_not_exist_ends_after_two_requests() {
        for (start, total, total_before) in [(0, 1, None), (0, 0, None), (2000, 2500, Some(2500))] {
            let observation = Observation {
                start,
                entries: 0,
                total,
                total_before,
                names_papers: true,
            };
            let mut retries = Retries::default();
            assert_eq!(evaluate(observation, &mut retries), Decision::FetchAgain);
            let minutes = Decision::Keep(Some(NO_RESULTS_MAX_AGE));
            assert_eq!(evaluate(observation, &mut retries), minutes);
        }
    }
}
