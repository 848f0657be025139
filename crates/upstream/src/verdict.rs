//! Whether a page is believed. arXiv sometimes answers with no entries where there are some.

use std::time::Duration;

/// How often an empty page is asked for again that says itself that it should not be empty.
const RETRIES_OF_A_HOLE: u32 = 3;

/// How often a search that finds nothing is asked again before that is believed.
const RETRIES_OF_NOTHING: u32 = 1;

/// How long it is believed that a search finds nothing: not for a day, since it may be wrong all the same.
const KEEP_NOTHING: Duration = Duration::from_mins(10);

/// What an answer says of its page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The page's first place.
    pub(crate) start: u32,
    /// How many entries it has.
    pub(crate) entries: usize,
    /// How many it says there are in all.
    pub(crate) total: u32,
    /// How many the page before it says there are in all, if there is one in the store.
    pub(crate) total_before: Option<u32>,
}

/// The answers for a page that were not believed so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Doubts {
    /// Those that left a hole: empty, though there should be something.
    holes: u32,
    /// Those that found nothing at all.
    nothings: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The page stands, for so long if not for its day.
    Keep(Option<Duration>),
    /// It is to be asked for again.
    AskAgain,
    /// It was asked for often enough.
    Incomplete,
}

/// Judges an answer in the light of those before it, and counts it among them if it is not believed.
///
/// An answer that told of a total stands against any that finds nothing: they are never believed after it.
pub(crate) fn judge(claim: Claim, doubts: &mut Doubts) -> Verdict {
    // A page with entries is taken even if it has fewer than asked for: totals are not exact.
    if claim.entries > 0 {
        return Verdict::Keep(None);
    }
    let finds_nothing = claim.total == 0;
    let is_hole = claim.start < claim.total
        || (finds_nothing
            && (doubts.holes > 0 || claim.total_before.is_some_and(|total| claim.start < total)));
    if is_hole {
        doubts.holes += 1;
        return if doubts.holes > RETRIES_OF_A_HOLE {
            Verdict::Incomplete
        } else {
            Verdict::AskAgain
        };
    }
    if !finds_nothing {
        // Past the end, as the answer says itself.
        return Verdict::Keep(None);
    }
    doubts.nothings += 1;
    if doubts.nothings > RETRIES_OF_NOTHING {
        Verdict::Keep(Some(KEEP_NOTHING))
    } else {
        Verdict::AskAgain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_pages_are_doubted() {
        use Verdict::{AskAgain, Incomplete, Keep};
        let minutes = Keep(Some(KEEP_NOTHING));
        #[rustfmt::skip]
        let cases = [
            // (start, entries, total, total before, verdicts after 0, 1, 2, 3 retries)
            ("entries", 0, 8, 1234, None, [Keep(None), Keep(None), Keep(None), Keep(None)]),
            ("fewer entries than promised", 0, 3, 1234, None, [Keep(None), Keep(None), Keep(None), Keep(None)]),
            ("entries but no total", 0, 3, 0, None, [Keep(None), Keep(None), Keep(None), Keep(None)]),
            ("nothing", 0, 0, 0, None, [AskAgain, minutes, minutes, minutes]),
            ("nothing, from further on", 50, 0, 0, None, [AskAgain, minutes, minutes, minutes]),
            ("a hole", 2000, 0, 5000, None, [AskAgain, AskAgain, AskAgain, Incomplete]),
            ("a hole at the start", 0, 0, 5, None, [AskAgain, AskAgain, AskAgain, Incomplete]),
            ("a hole that denies the rest", 2000, 0, 0, Some(5000), [AskAgain, AskAgain, AskAgain, Incomplete]),
            ("past the end", 50, 0, 10, None, [Keep(None), Keep(None), Keep(None), Keep(None)]),
            ("past an end that came nearer", 2000, 0, 1999, Some(2001), [Keep(None), Keep(None), Keep(None), Keep(None)]),
            ("nothing after nothing", 2000, 0, 0, Some(0), [AskAgain, minutes, minutes, minutes]),
        ];
        for (name, start, entries, total, total_before, verdicts) in cases {
            let mut doubts = Doubts::default();
            for (retries, verdict) in verdicts.into_iter().enumerate() {
                let claim = Claim {
                    start,
                    entries,
                    total,
                    total_before,
                };
                assert_eq!(judge(claim, &mut doubts), verdict, "{name}, {retries}");
            }
        }
    }

    #[test]
    fn a_hole_stands_against_nothing() {
        use Verdict::{AskAgain, Incomplete, Keep};
        let hole = Claim {
            start: 0,
            entries: 0,
            total: 5000,
            total_before: None,
        };
        let nothing = Claim { total: 0, ..hole };
        let whole = Claim { entries: 8, ..hole };
        let cases: [&[(Claim, Verdict)]; 4] = [
            &[
                (hole, AskAgain),
                (hole, AskAgain),
                (hole, AskAgain),
                (nothing, Incomplete),
            ],
            &[
                (hole, AskAgain),
                (nothing, AskAgain),
                (nothing, AskAgain),
                (nothing, Incomplete),
            ],
            &[
                (nothing, AskAgain),
                (hole, AskAgain),
                (nothing, AskAgain),
                (whole, Keep(None)),
            ],
            &[(nothing, AskAgain), (nothing, Keep(Some(KEEP_NOTHING)))],
        ];
        for case in cases {
            let mut doubts = Doubts::default();
            for (claim, verdict) in case {
                assert_eq!(judge(*claim, &mut doubts), *verdict, "{case:?}");
            }
        }
    }
}
