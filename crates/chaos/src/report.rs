//! The outcome of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::checks::{Kind, Violation, asked_again_after};
use crate::history::{History, Phase};

/// The figures and findings of a run.
#[derive(Debug)]
pub struct Report {
    /// What determined the faults.
    pub seed: u64,
    /// Whether there were two database servers.
    pub split: bool,
    /// Violated invariants.
    pub violations: Vec<Violation>,
    /// The log of all events. The logs of the processes are next to it when an invariant is violated.
    pub timeline: PathBuf,
    /// Faults by their kind.
    pub faults: BTreeMap<&'static str, u64>,
    figures: Figures,
}

#[derive(Debug)]
struct Figures {
    took: Duration,
    queries: usize,
    succeeded: usize,
    failed: usize,
    removed: usize,
    answers: usize,
    requests: usize,
    searches: usize,
    /// Repeated requests, by the reason why the earlier one was of no use.
    asked_again: BTreeMap<&'static str, usize>,
    reads: usize,
    writes: usize,
    ended_by_itself: u64,
    /// Objects whose end was undone by a restore of etcd.
    undone: usize,
    /// Objects of feeds that the database knows, also those that are gone.
    feeds: usize,
    /// Days of arXiv that passed for feeds.
    days: u32,
    feed_runs: usize,
    items: usize,
    deliveries: usize,
    /// Requests that the receiver of webhooks got.
    attempts: usize,
}

impl Report {
    pub(crate) fn new(
        (seed, took, timeline): (u64, Duration, PathBuf),
        history: &History,
        violations: Vec<Violation>,
        faults: BTreeMap<&'static str, u64>,
        ended_by_itself: u64,
    ) -> Self {
        let ended = |phase| {
            history
                .objects
                .iter()
                .filter(|object| object.phase == phase)
                .count()
        };
        let searches: BTreeSet<_> = history
            .requests
            .iter()
            .map(|request| (&request.search, request.start))
            .collect();
        // `accepted` holds all objects that ever existed.
        let queries = history.accepted.len();
        let figures = Figures {
            took,
            queries,
            succeeded: ended(Phase::Succeeded),
            failed: ended(Phase::Failed),
            removed: queries.saturating_sub(history.objects.len()),
            answers: history.answers.len(),
            requests: history.requests.len(),
            searches: searches.len(),
            asked_again: asked_again_after(history),
            reads: history.reads.len() + history.full_reads.len(),
            writes: history.foreign_rows.len(),
            ended_by_itself,
            undone: history.undone.len(),
            feeds: history.feeds.len(),
            days: history.day,
            feed_runs: history.feed_runs.values().sum(),
            items: history.feeds.iter().map(|feed| feed.items.len()).sum(),
            deliveries: history.feeds.iter().map(|feed| feed.deliveries.len()).sum(),
            attempts: history.attempts.len(),
        };
        Self {
            seed,
            split: history.split,
            violations,
            timeline,
            faults,
            figures,
        }
    }

    /// Whether no invariant is violated.
    pub fn passed(&self) -> bool {
        self.violations.is_empty()
    }
}

/// One line of figures.
impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures {
            took,
            queries,
            succeeded,
            failed,
            removed,
            answers,
            requests,
            searches,
            asked_again,
            reads,
            writes,
            ended_by_itself,
            undone,
            feeds,
            days,
            feed_runs,
            items,
            deliveries,
            attempts,
        } = &self.figures;
        write!(
            out,
            "chaos: seed={} split={} seconds={} faults={} queries={queries} succeeded={succeeded} failed={failed} \
             removed={removed} answers={answers} reads={reads} writes={writes} searches={searches} requests={requests} \
             asked_again={} {asked_again:?} ended_by_itself={ended_by_itself} undone={undone} feeds={feeds} days={days} \
             feed_runs={feed_runs} items={items} deliveries={deliveries} attempts={attempts}",
            self.seed,
            self.split,
            took.as_secs(),
            self.faults.values().sum::<u64>(),
            asked_again.values().sum::<usize>()
        )?;
        for (name, kind) in [
            ("lost", Kind::Lost),
            ("doubled", Kind::Doubled),
            ("impolite", Kind::Impolite),
            ("asked_twice", Kind::AskedTwice),
            ("duplicate_items", Kind::DuplicateItem),
            ("missing_items", Kind::MissingItem),
            ("missing_deliveries", Kind::MissingDelivery),
            ("wrong_deliveries", Kind::WrongDelivery),
            ("wrong", Kind::Wrong),
        ] {
            let of_kind = self.violations.iter().filter(|violation| violation.kind == kind);
            write!(out, " {name}={}", of_kind.count())?;
        }
        Ok(())
    }
}
