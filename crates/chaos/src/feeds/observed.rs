//! What was seen of the objects of feeds, and what follows for their items.

use std::collections::BTreeSet;
use std::time::Duration;

use crd::{ArxivFeed, ArxivQuery, FeedCondition};
use jiff::Timestamp;
use testbed::arxiv::Archive;

use crate::history::{ArxivAnswer, Request, VersionName};

/// A feed's object, by its uid.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    /// Whether it existed when Kubernetes was asked last.
    pub(super) is_present: bool,
    /// Whether its status said then that nothing is left.
    pub(super) is_complete: bool,
    /// The last tick whose run was complete.
    pub(super) tick: Option<usize>,
    /// The day of that tick; the day on which the feed was seen first as long as there is none.
    pub(super) day: u32,
    /// The uids of the runs that were complete.
    runs: BTreeSet<String>,
    complete: Vec<Complete>,
}

/// A complete run: the days on which it can have been, and the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Complete {
    days: (u32, u32),
    time: (Duration, Duration),
}

impl Observed {
    /// One that is seen first on this day.
    pub(super) fn on(day: u32) -> Self {
        Self {
            is_present: true,
            is_complete: false,
            tick: None,
            day,
            runs: BTreeSet::new(),
            complete: Vec::new(),
        }
    }

    /// The run of a tick was complete. It began when the tick came or later, and has ended by now.
    pub(super) fn complete(
        &mut self,
        run: String,
        tick: usize,
        days: (u32, u32),
        time: (Duration, Duration),
    ) {
        if !self.runs.insert(run) {
            return;
        }
        self.complete.push(Complete { days, time });
        if self.tick.is_none_or(|last| last < tick) {
            self.tick = Some(tick);
            self.day = days.0;
        }
    }

    /// The versions that the feed must have: each that arXiv had during all of a complete run. A run that arXiv told that it finds
    /// nothing believes that after the second time.
    pub(super) fn required(
        &self,
        search: &str,
        archive: &Archive,
        requests: &[Request],
    ) -> Result<BTreeSet<VersionName>, String> {
        let was_told_nothing = |(from, to): (Duration, Duration)| {
            let mut during = requests
                .iter()
                .filter(|request| from <= request.at && request.at <= to && request.search.contains(search));
            during.any(|request| request.answer == ArxivAnswer::Empty)
        };
        let mut required = BTreeSet::new();
        for complete in self
            .complete
            .iter()
            .filter(|complete| !was_told_nothing(complete.time))
        {
            let (first, last) = complete.days;
            let mut all = archive.found(search, first)?;
            for day in first + 1..=last {
                let found = archive.found(search, day)?;
                all.retain(|version| found.contains(version));
            }
            required.extend(all);
        }
        Ok(required)
    }
}

/// Whether the status says that the last run of the feed has ended, and that all was read.
pub(super) fn is_complete(feed: &ArxivFeed) -> bool {
    let is = |condition, reason| {
        let condition = feed.condition(condition);
        condition.is_some_and(|condition| condition.status == "True" && condition.reason == reason)
    };
    let status = feed.status.as_ref();
    status.is_some_and(|status| status.active.is_none())
        && is(FeedCondition::Ready, "Scheduled")
        && is(FeedCondition::Complete, "AllRead")
}

/// An object that is a run of a feed.
#[derive(Clone, Debug)]
pub(crate) struct FeedRun {
    pub(crate) feed: String,
    /// The scheduled time that its name has.
    pub(super) scheduled: Option<Timestamp>,
    /// Whether it does not go on where another one has ended.
    pub(super) is_from_start: bool,
}

impl FeedRun {
    pub(crate) fn new(feed: &str, run: &ArxivQuery) -> Self {
        let name = run.metadata.name.as_deref().unwrap_or_default();
        let minutes = name.strip_prefix(feed).and_then(|name| name.strip_prefix('-'));
        let minutes = minutes.map(|minutes| minutes.trim_end_matches(|last: char| last.is_ascii_lowercase()));
        let minutes: Option<i64> = minutes.and_then(|minutes| minutes.parse().ok());
        Self {
            feed: feed.to_owned(),
            scheduled: minutes.and_then(|minutes| Timestamp::from_second(minutes * 60).ok()),
            is_from_start: run.spec.start == 0 && run.spec.search.submitted_before.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use testbed::arxiv::ArchiveSpec;

    use super::*;
    use crate::checks::example::request;

    const SEARCH: &str = "cat:cs.DS";

    fn seconds(from: u64, to: u64) -> (Duration, Duration) {
        (Duration::from_secs(from), Duration::from_secs(to))
    }

    #[test]
    fn run_has_its_time_in_its_name() {
        let mut run = ArxivQuery::new("in-parts-29000000c", crd::ArxivQuerySpec::default());
        run.spec.start = 50;
        let run = FeedRun::new("in-parts", &run);
        assert_eq!(run.scheduled.map(Timestamp::as_second), Some(29_000_000 * 60));
        assert!(!run.is_from_start);
    }

    #[test]
    fn complete_runs_require_what_was_there_all_the_time() {
        let archive = Archive::new(ArchiveSpec::default());
        let mut observed = Observed::on(0);
        let required = |observed: &Observed, requests: &[Request]| {
            observed.required(SEARCH, &archive, requests).unwrap()
        };
        assert!(required(&observed, &[]).is_empty());
        observed.complete("first".into(), 1, (0, 3), seconds(0, 5));
        observed.complete("first".into(), 1, (0, 9), seconds(0, 9));
        let first = archive.found(SEARCH, 0).unwrap();
        let third = archive.found(SEARCH, 3).unwrap();
        assert_eq!(
            required(&observed, &[]),
            first.intersection(&third).cloned().collect()
        );

        for day in [4, 8, 12, 16, 20] {
            observed.complete(day.to_string(), day as usize, (day, day + 3), seconds(10, 20));
        }
        let until = archive.found_until(SEARCH, 20).unwrap();
        let all = required(&observed, &[]);
        // A version that is listed in the category days after it was announced may be replaced earlier.
        let missed = until.difference(&all).count();
        assert!(until.len() > 50 && missed < 5, "{missed} of {}", until.len());
        assert!(all.is_subset(&archive.found_until(SEARCH, 23).unwrap()));

        let nothing = request(15_000, 1, SEARCH, ArxivAnswer::Empty);
        assert_eq!(
            required(&observed, &[nothing]),
            first.intersection(&third).cloned().collect()
        );
    }
}
