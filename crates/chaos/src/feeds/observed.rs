//! What was seen of the objects of feeds, and what follows for their items.

use std::collections::BTreeSet;
use std::time::Duration;

use crd::{ArxivFeed, FeedCondition};
use testbed::arxiv::Archive;

use super::manifests::Ticks;
use crate::history::{ArxivAnswer, Request, VersionName};

/// A feed's object, by its uid.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    /// Whether it existed when Kubernetes was asked last.
    pub(super) is_present: bool,
    /// The last tick whose run was complete.
    pub(super) tick: Option<usize>,
    /// The day of that tick; the day on which the feed was seen first as long as there is none.
    pub(super) day: u32,
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
            tick: None,
            day,
            complete: Vec::new(),
        }
    }

    /// The run of a tick was complete. It began when the tick came or later, and has ended by now.
    pub(super) fn complete(&mut self, tick: usize, days: (u32, u32), time: (Duration, Duration)) {
        // A restore of etcd may have brought back an earlier status.
        if self.tick.is_none_or(|last| last < tick) {
            self.tick = Some(tick);
            self.day = days.0;
            self.complete.push(Complete { days, time });
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

/// The tick of the feed's last run, if that has ended and the feed is complete.
pub(super) fn settled_tick(feed: &ArxivFeed, minutes: Ticks) -> Option<usize> {
    let status = feed.status.as_ref().filter(|status| status.active.is_none())?;
    let is = |condition, reason| {
        let condition = feed.condition(condition);
        condition.is_some_and(|condition| condition.status == "True" && condition.reason == reason)
    };
    let is_settled = is(FeedCondition::Ready, "Scheduled") && is(FeedCondition::Complete, "AllRead");
    let last = status.last_schedule_time.as_ref().filter(|_| is_settled)?;
    minutes.at(last.0)
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
    fn complete_runs_require_what_was_there_all_the_time() {
        let archive = Archive::new(ArchiveSpec::default());
        let mut observed = Observed::on(0);
        let required = |observed: &Observed, requests: &[Request]| {
            observed.required(SEARCH, &archive, requests).unwrap()
        };
        assert!(required(&observed, &[]).is_empty());
        observed.complete(1, (0, 3), seconds(0, 5));
        observed.complete(1, (0, 9), seconds(0, 9));
        let first = archive.found(SEARCH, 0).unwrap();
        let third = archive.found(SEARCH, 3).unwrap();
        assert_eq!(
            required(&observed, &[]),
            first.intersection(&third).cloned().collect()
        );

        for day in [4, 8, 12, 16, 20] {
            observed.complete(day as usize, (day, day + 3), seconds(10, 20));
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
