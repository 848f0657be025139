use std::collections::BTreeSet;

use super::*;

const DAY: i64 = 86_400;
const LOOKBACK: Duration = Duration::from_hours(14 * 24);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// Numbers that look like chance, the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// What arXiv has: the present version of each paper, when it was submitted, and when it was updated.
#[derive(Default)]
struct Index(Vec<(u32, i64, i64)>);

impl Index {
    /// A paper that is announced days after its submission.
    fn announce(&mut self, submitted: i64) {
        self.0.push((1, submitted, submitted));
    }

    fn revise(&mut self, paper: usize, now: i64) {
        let (version, _, updated) = &mut self.0[paper];
        (*version, *updated) = (*version + 1, now);
    }

    fn present(&self) -> BTreeSet<(usize, u32)> {
        self.0
            .iter()
            .enumerate()
            .map(|(paper, (version, ..))| (paper, *version))
            .collect()
    }
}

/// A feed with what it has seen.
struct Model {
    progress: Progress,
    skips: bool,
    seen: BTreeSet<(usize, u32)>,
    items: usize,
}

impl Model {
    fn new(skips: bool) -> Self {
        Self {
            progress: Progress::default(),
            skips,
            seen: BTreeSet::new(),
            items: 0,
        }
    }

    fn run(&mut self, index: &Index, max_results: u32, now: i64, chance: &mut Chance) -> Outcome {
        let next = self.progress.next_run(self.skips, max_results, LOOKBACK, at(now));
        self.record(&next, index, now, chance)
    }

    /// Runs until a backfill that began after the last change is complete.
    fn settle(&mut self, index: &Index, max_results: u32, now: i64, chance: &mut Chance) {
        for _ in 0..2 {
            let mut runs = 0;
            while self.run(index, max_results, now, chance) != Outcome::Complete {
                runs += 1;
                assert!(runs < 500, "{max_results}: no progress: {:?}", self.progress);
            }
        }
    }

    fn record(&mut self, next: &NextRun, index: &Index, now: i64, chance: &mut Chance) -> Outcome {
        let is_found = |(_, submitted, _): &(u32, i64, i64)| {
            next.submitted_before
                .is_none_or(|before| at(*submitted) <= before)
        };
        let mut found: Vec<_> = index
            .0
            .iter()
            .enumerate()
            .filter(|(_, entry)| is_found(entry))
            .collect();
        // Equal times come in any order.
        found.sort_by_cached_key(|(_, (_, _, updated))| (-updated, chance.below(1_000)));
        let page: Vec<_> = found
            .iter()
            .skip(next.start as usize)
            .take(next.max_results as usize)
            .collect();
        let is_new = |updated: i64| next.updated_after.is_none_or(|after| at(updated) >= after);
        let kept: Vec<_> = page
            .iter()
            .filter(|(_, (_, _, updated))| is_new(*updated))
            .collect();
        let end = if kept.len() < page.len() {
            RunEnd::Older
        } else if (next.start + next.max_results) as usize >= found.len() {
            RunEnd::Exhausted
        } else {
            RunEnd::Limit
        };
        self.progress.begin(self.skips, next.updated_after);
        let is_skipping = self.progress.is_skipping(self.skips);
        for (paper, (version, _, updated)) in &kept {
            let is_old = self.progress.floor.is_some_and(|floor| at(*updated) < floor);
            if !is_old && self.seen.insert((*paper, *version)) && !is_skipping {
                self.items += 1;
            }
        }
        let updates = kept.first().zip(kept.last());
        self.progress.end(&FinishedRun {
            start: next.start,
            max_results: next.max_results,
            updated_after: next.updated_after,
            submitted_before: next.submitted_before,
            end,
            updates: updates.map(|((_, (.., newest)), (_, (.., oldest)))| (at(*newest), at(*oldest))),
            fetched_at: at(now),
        })
    }
}

/// One day: papers that were submitted up to five days ago, and revisions.
fn pass_day(index: &mut Index, day: i64, chance: &mut Chance) {
    for _ in 0..20 + chance.below(20) {
        // Many have equal times.
        let ago = chance.below(5 * 24).cast_signed() * 3_600;
        index.announce(day * DAY - ago);
    }
    for _ in 0..chance.below(15) {
        let paper = usize::try_from(chance.below(index.0.len() as u64)).unwrap();
        index.revise(paper, day * DAY - chance.below(3_600).cast_signed());
    }
}

#[test]
fn each_paper_is_seen_whatever_the_backlog_and_the_size_of_a_run() {
    for (max_results, backlog) in [
        (1, 40),
        (30, 0),
        (60, 500),
        (120, 3_000),
        (2_000, 3_000),
        (30_000, 100),
    ] {
        let (mut index, mut chance) = (Index::default(), Chance(max_results.into()));
        for _ in 0..backlog {
            index.announce(chance.below(900).cast_signed() * DAY);
        }
        let mut model = Model::new(false);
        let mut complete = 0;
        for day in 1_000..1_200 {
            pass_day(&mut index, day, &mut chance);
            complete +=
                usize::from(model.run(&index, max_results, day * DAY, &mut chance) == Outcome::Complete);
        }
        // Then nothing changes any more.
        model.settle(&index, max_results, 1_201 * DAY, &mut chance);
        let missing: Vec<_> = index.present().difference(&model.seen).copied().collect();
        assert_eq!(missing, [], "{max_results}");
        assert!(
            // Smaller ones are less than what each run has to look at again.
            max_results < 2_000 || complete > 190,
            "{max_results}: {complete} complete runs"
        );
    }
}

#[test]
fn backfill_goes_on_among_older_papers_where_no_more_results_can_be_passed_over() {
    let (mut index, mut chance) = (Index::default(), Chance(7));
    for paper in 0..70_000 {
        index.announce(paper * 600);
    }
    let now = 70_000 * 600;
    let mut model = Model::new(false);
    let mut windows = BTreeSet::new();
    for run in 0.. {
        assert!(run < 40, "no progress: {:?}", model.progress);
        let next = model.progress.next_run(false, 5_000, LOOKBACK, at(now));
        assert!(next.start <= MAX_START);
        windows.extend(next.submitted_before);
        if model.record(&next, &index, now, &mut chance) == Outcome::Complete {
            break;
        }
        // Papers that are revised move to the front.
        for _ in 0..100 {
            let paper = usize::try_from(chance.below(70_000)).unwrap();
            index.revise(paper, now + 1);
        }
    }
    assert_eq!(windows.len(), 2);
    assert_eq!(model.run(&index, 30_000, now + 2, &mut chance), Outcome::Complete);
    assert_eq!(index.present().difference(&model.seen).count(), 0);
}

#[test]
fn first_papers_are_no_items_when_they_are_skipped_and_all_later_ones_are() {
    for max_results in [40, 2_000] {
        let (mut index, mut chance) = (Index::default(), Chance(3));
        for day in 900..1_000 {
            pass_day(&mut index, day, &mut chance);
        }
        let before = index.present();
        let mut model = Model::new(true);
        while model.run(&index, max_results, 1_000 * DAY, &mut chance) != Outcome::Complete {}
        assert_eq!(model.items, 0);
        for day in 1_001..1_040 {
            pass_day(&mut index, day, &mut chance);
            for _ in 0..10 {
                model.run(&index, max_results, day * DAY, &mut chance);
            }
        }
        model.settle(&index, max_results, 1_041 * DAY, &mut chance);
        let new: BTreeSet<_> = index.present().difference(&before).copied().collect();
        assert_eq!(new.difference(&model.seen).count(), 0);
        // And versions of a day that were revised on the same one.
        assert!(model.items >= new.len(), "{} of {}", model.items, new.len());
        assert!(model.items < new.len() + 500, "{} of {}", model.items, new.len());
    }
}

fn run(start: u32, end: RunEnd, updates: Option<(i64, i64)>) -> FinishedRun {
    FinishedRun {
        start,
        max_results: 100,
        updated_after: None,
        submitted_before: None,
        end,
        updates: updates.map(|(newest, oldest)| (at(newest), at(oldest))),
        fetched_at: at(1_000),
    }
}

#[test]
fn watermark_moves_only_with_complete_runs_and_never_back() {
    let mut progress = Progress::default();
    for (what, run, outcome, watermark) in [
        (
            "nothing",
            run(0, RunEnd::Exhausted, None),
            Outcome::Complete,
            None,
        ),
        (
            "cut by its limit",
            run(0, RunEnd::Limit, Some((900, 700))),
            Outcome::Incomplete,
            None,
        ),
        (
            "a short answer",
            run(50, RunEnd::Short, Some((700, 600))),
            Outcome::Incomplete,
            None,
        ),
        (
            "the rest",
            run(50, RunEnd::Exhausted, Some((700, 100))),
            Outcome::Complete,
            Some(900),
        ),
        (
            "a late one",
            run(0, RunEnd::Exhausted, Some((800, 100))),
            Outcome::Complete,
            Some(900),
        ),
        (
            "a time in the future",
            run(0, RunEnd::Older, Some((9_000, 100))),
            Outcome::Complete,
            Some(1_000),
        ),
        (
            "nothing again",
            run(0, RunEnd::Exhausted, None),
            Outcome::Complete,
            Some(1_000),
        ),
    ] {
        assert_eq!(progress.end(&run), outcome, "{what}");
        assert_eq!(progress.watermark, watermark.map(at), "{what}");
    }
}

#[test]
fn backfill_begins_anew_when_papers_may_lie_between_two_of_its_runs() {
    let mut progress = Progress::default();
    progress.end(&run(0, RunEnd::Limit, Some((900, 700))));
    assert_eq!(progress.backfill.map(|backfill| backfill.start), Some(50));
    // The first result of the next run is older than the last one of the run before: results were removed meanwhile.
    assert_eq!(
        progress.end(&run(50, RunEnd::Exhausted, Some((690, 100)))),
        Outcome::Incomplete
    );
    assert_eq!((progress.backfill, progress.watermark), (None, None));
}

#[test]
fn run_that_does_not_go_back_far_enough_is_not_complete() {
    // As of a search that the feed had before: its own watermark was later.
    let mut progress = Progress::default();
    let short = FinishedRun {
        updated_after: Some(at(500)),
        ..run(0, RunEnd::Older, Some((900, 500)))
    };
    assert_eq!(progress.end(&short), Outcome::Incomplete);
    assert_eq!(progress.watermark, None);
    progress.watermark = Some(at(499));
    assert_eq!(progress.end(&short), Outcome::Incomplete);
    progress.watermark = Some(at(500));
    assert_eq!(progress.end(&short), Outcome::Complete);
    assert_eq!(progress.watermark, Some(at(900)));
}

#[test]
fn next_run_looks_back_from_the_watermark_but_not_beyond_the_floor() {
    let time = |text: &str| text.parse::<Timestamp>().unwrap();
    let next = |watermark: Option<&str>, floor: Option<&str>| {
        let progress = Progress {
            watermark: watermark.map(time),
            floor: floor.map(time),
            is_established: true,
            backfill: None,
        };
        progress
            .next_run(true, 10, Duration::from_hours(24), time("2024-06-01T00:00:00Z"))
            .updated_after
    };
    let day = Some(time("2024-05-03T12:00:01Z"));
    assert_eq!(next(Some("2024-05-04T12:00:01.9Z"), None), day);
    assert_eq!(
        next(Some("2024-05-04T12:00:01.9Z"), Some("2024-05-01T00:00:00Z")),
        day
    );
    assert_eq!(
        next(Some("2024-05-02T12:00:00Z"), Some("2024-05-03T12:00:01Z")),
        day
    );
    assert_eq!(next(None, Some("2024-05-03T12:00:01Z")), day);
    assert_eq!(next(None, None), None);
}
