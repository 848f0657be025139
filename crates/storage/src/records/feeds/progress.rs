//! How far a feed's search is complete: a pure function of its runs.
//!
//! The results of a run are sorted by the last update, newest first. A run is complete when it comes to papers that are older than the
//! watermark (less the lookback), or to the end of the results. Where one run cannot go so far, the next ones go on where it ended, as a
//! backfill: the last papers of one are the first ones of the next, which shows that none was passed over. Papers that are updated during
//! a backfill move to the front; they are newer than the watermark that the backfill ends with, and so the run after it finds them.

use std::time::Duration;

use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use serde::{Deserialize, Serialize};

/// How many results a run has in common with the one before it in a backfill.
const OVERLAP: u32 = 50;
/// The most results that can be passed over. Further back a backfill goes on among the papers that were submitted before a time.
const MAX_START: u32 = 30_000;

/// Why a run has no more results.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum RunEnd {
    /// The next ones are older than it searches for.
    Older,
    /// There are no others.
    Exhausted,
    /// It looked at as many as it may.
    #[default]
    Limit,
    /// arXiv left some out.
    Short,
}

/// What a run was for its feed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Outcome {
    /// It, or the backfill that it ends, has found all papers.
    Complete,
    /// The next run goes on.
    Incomplete,
    /// The feed has another search by now: nothing of it counts.
    OtherSearch,
}

/// How far the search of a feed is complete.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Progress {
    /// All papers that were last updated up to this time are seen.
    pub watermark: Option<Timestamp>,
    /// Papers that were last updated before this time are no items.
    pub floor: Option<Timestamp>,
    /// Whether a run was complete already.
    pub is_established: bool,
    /// A way back to the watermark that one run did not go to the end.
    pub backfill: Option<Backfill>,
}

/// A way back to the watermark in several runs.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Backfill {
    /// The newest update when it began: the watermark at its end.
    pub watermark: Timestamp,
    /// All papers that were last updated after this time, up to its begin, are seen.
    pub covered: Timestamp,
    /// How many results the next run passes over.
    pub start: u32,
    /// The next run is among the papers that were submitted up to this time.
    pub submitted_before: Option<Timestamp>,
}

/// What a run has to search for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NextRun {
    /// How many results to pass over.
    pub start: u32,
    /// How many to look at.
    pub max_results: u32,
    /// Which papers are wanted, by their last update; in whole seconds.
    pub updated_after: Option<Timestamp>,
    /// Which papers are wanted, by their submission; in whole minutes.
    pub submitted_before: Option<Timestamp>,
}

/// A run that is to be recorded.
#[derive(Clone, Copy, Debug)]
pub(super) struct FinishedRun {
    pub(super) start: u32,
    pub(super) max_results: u32,
    pub(super) updated_after: Option<Timestamp>,
    pub(super) submitted_before: Option<Timestamp>,
    pub(super) end: RunEnd,
    /// The first and the last update among its papers.
    pub(super) updates: Option<(Timestamp, Timestamp)>,
    /// When its first page was fetched.
    pub(super) fetched_at: Timestamp,
}

impl Progress {
    /// What the next run has to search for. `skips`: the first papers are no items.
    pub(super) fn next_run(
        &self,
        skips: bool,
        max_results: u32,
        lookback: Duration,
        now: Timestamp,
    ) -> NextRun {
        let back = |time: Timestamp| time.checked_sub(lookback).unwrap_or(Timestamp::MIN);
        let after = match (self.watermark, self.floor) {
            (Some(watermark), floor) => {
                Some(floor.map_or(back(watermark), |floor| floor.max(back(watermark))))
            }
            (None, Some(floor)) => Some(floor),
            (None, None) => (skips && !self.is_established).then(|| back(now)),
        };
        let (start, submitted_before) = self
            .backfill
            .map_or((0, None), |backfill| (backfill.start, backfill.submitted_before));
        NextRun {
            start,
            max_results: match self.backfill {
                Some(_) => max_results.max(2 * OVERLAP),
                None => max_results,
            },
            updated_after: after.map(|after| rounded(after, Unit::Second, RoundMode::Floor)),
            submitted_before,
        }
    }

    /// Whether papers are only taken as seen.
    pub(super) fn is_skipping(&self, skips: bool) -> bool {
        skips && !self.is_established
    }

    /// Begins the recording of a run: where the first papers are no items, those that it does not look at are none, either.
    pub(super) fn begin(&mut self, skips: bool, run_updated_after: Option<Timestamp>) {
        if self.is_skipping(skips) && self.watermark.is_none() && self.floor.is_none() {
            self.floor = run_updated_after.map(|after| after.max(Timestamp::UNIX_EPOCH));
        }
    }

    /// Ends it.
    pub(super) fn end(&mut self, run: &FinishedRun) -> Outcome {
        let begins = run.start == 0 && run.submitted_before.is_none();
        // A run from before a change of the search, for example, may not go as far back as this one has to.
        let reaches = match (run.updated_after, self.watermark.or(self.floor)) {
            (None, _) => true,
            (Some(after), Some(known)) => after <= known,
            (Some(_), None) => false,
        };
        // No paper has a later update than its answer, whatever it says.
        let newest = run.updates.map(|(newest, _)| newest.min(run.fetched_at));
        let joined = self.backfill.filter(|backfill| {
            let first = run.updates.map(|(newest, _)| newest);
            first >= Some(backfill.covered)
                && run
                    .submitted_before
                    .is_none_or(|before| before >= backfill.covered)
        });
        match run.end {
            RunEnd::Short => return Outcome::Incomplete,
            RunEnd::Older | RunEnd::Exhausted if !reaches => return Outcome::Incomplete,
            RunEnd::Older | RunEnd::Exhausted if begins || joined.is_some() => {
                let newest = if begins {
                    newest
                } else {
                    joined.map(|backfill| backfill.watermark)
                };
                self.watermark = self.watermark.max(newest);
                self.is_established = true;
                self.backfill = None;
                return Outcome::Complete;
            }
            RunEnd::Older | RunEnd::Exhausted | RunEnd::Limit => {}
        }
        self.backfill = match (run.updates, newest, joined) {
            (Some((_, oldest)), Some(newest), None) if begins => {
                Some(Backfill::new(newest, oldest).after(run))
            }
            // One from the front does not undo a backfill that has got further.
            (Some((_, oldest)), ..)
                if begins && self.backfill.is_some_and(|backfill| backfill.covered < oldest) =>
            {
                self.backfill
            }
            (Some((_, oldest)), _, Some(backfill)) => Some(
                Backfill {
                    covered: backfill.covered.min(oldest),
                    ..backfill
                }
                .after(run),
            ),
            // Something may lie between: from the beginning.
            _ => None,
        };
        Outcome::Incomplete
    }
}

impl Backfill {
    fn new(watermark: Timestamp, covered: Timestamp) -> Self {
        Self {
            watermark,
            covered,
            start: 0,
            submitted_before: None,
        }
    }

    /// Where the run after this one goes on.
    fn after(self, run: &FinishedRun) -> Self {
        let start = run.start.saturating_add(run.max_results).saturating_sub(OVERLAP);
        if start <= MAX_START {
            return Self {
                start,
                submitted_before: run.submitted_before,
                ..self
            };
        }
        // What is not covered was updated, and so submitted, before. The search is to the minute.
        Self {
            start: 0,
            submitted_before: Some(rounded(self.covered, Unit::Minute, RoundMode::Ceil)),
            ..self
        }
    }
}

/// The time itself where it cannot be rounded, at the end of all times.
fn rounded(time: Timestamp, unit: Unit, mode: RoundMode) -> Timestamp {
    time.round(TimestampRound::new().smallest(unit).mode(mode))
        .unwrap_or(time)
}

#[cfg(test)]
mod tests;
