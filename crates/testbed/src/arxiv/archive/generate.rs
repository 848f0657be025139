//! The papers of an archive and the kinds of its days, by the numbers of its seed.

use std::collections::BTreeMap;

use jiff::{
    SignedDuration, Timestamp, ToSpan,
    civil::{Date, Weekday},
    tz::TimeZone,
};

use super::{ArchiveSpec, DAYS_BETWEEN_VERSIONS, DayKind, Paper, Version, random::Random};

const CATEGORIES: [&str; 8] = [
    "math.CO",
    "math.NT",
    "cs.DS",
    "cs.LG",
    "stat.ML",
    "hep-th",
    "quant-ph",
    "astro-ph.CO",
];
const FIRST_NAMES: [&str; 10] = [
    "Pál",
    "Donald",
    "Vera",
    "Maryam",
    "Terence",
    "Éva",
    "Srinivasa",
    "Emmy",
    "Zoltán",
    "Ada",
];
const LAST_NAMES: [&str; 12] = [
    "Erdős",
    "Knuth",
    "Sós",
    "Mirzakhani",
    "Tao",
    "Tardos",
    "Ramanujan",
    "Noether",
    "Füredi",
    "Lovelace",
    "Müller",
    "O'Neil",
];
const KINDS: [&str; 8] = [
    "Large", "Sparse", "Random", "Quantum", "Fast", "Extremal", "Learned", "Optimal",
];
const THINGS: [&str; 12] = [
    "sunflowers",
    "matchings",
    "primes",
    "networks",
    "graphs",
    "codes",
    "partitions",
    "galaxies",
    "circuits",
    "matroids",
    "lattices",
    "embeddings",
];
/// A paper is announced so many days after its submission, at most.
const MOST_DAYS_TO_ANNOUNCE: u32 = 5;
/// Of so many days one is stale, and so many are the distance of two outages.
const PERIOD: u32 = 45;
/// The first days have nothing unusual.
const USUAL_DAYS: u32 = 10;

pub(super) fn date(spec: &ArchiveSpec, day: u32) -> Date {
    spec.first.saturating_add(i64::from(day).days())
}

/// All papers, and the kind of each day.
pub(super) fn generate(spec: &ArchiveSpec) -> (Vec<Paper>, Vec<DayKind>) {
    let mut random = Random::new(spec.seed);
    let kinds = kinds(spec, &mut random);
    let mut papers = Papers::new(random, spec.times_a_day);
    for _ in 0..spec.older {
        let age = MOST_DAYS_TO_ANNOUNCE + 1 + papers.random.below(spec.older_days);
        let submitted = spec.first.saturating_sub(i64::from(age).days());
        papers.add(submitted, 0, None);
    }
    for day in 1..=spec.days {
        let date = date(spec, day);
        if matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday) {
            continue;
        }
        let count = spec.papers_a_day / 2 + papers.random.below(spec.papers_a_day + 1);
        for _ in 0..count {
            let submitted = papers.days_before(date);
            let later = (papers.random.below(6) == 0).then(|| day + 1 + papers.random.below(5));
            papers.add(submitted, day, later);
        }
        for _ in 0..spec.papers_a_day / 4 {
            papers.revise(date, day);
        }
    }
    (papers.all, kinds)
}

/// In each period a stale working day and an outage of two days.
fn kinds(spec: &ArchiveSpec, random: &mut Random) -> Vec<DayKind> {
    let mut kinds = vec![DayKind::Usual; spec.days as usize + 1];
    let mut begin = USUAL_DAYS;
    while begin + PERIOD <= spec.days {
        let half = PERIOD / 2;
        let outage = begin + random.below(half - 3);
        for day in [outage, outage + 1] {
            kinds[day as usize] = DayKind::Outage;
        }
        let from = begin + half + random.below(half - 4);
        let is_working_day = |day: &u32| {
            let weekday = date(spec, *day).weekday();
            !matches!(weekday, Weekday::Saturday | Weekday::Sunday)
        };
        if let Some(day) = (from..from + 3).find(is_working_day) {
            kinds[day as usize] = DayKind::Stale;
        }
        begin += PERIOD;
    }
    kinds
}

struct Papers {
    random: Random,
    times_a_day: u32,
    all: Vec<Paper>,
    /// How many papers there are of each month.
    numbers: BTreeMap<(i16, i8), u32>,
}

impl Papers {
    fn new(random: Random, times_a_day: u32) -> Self {
        Self {
            random,
            times_a_day: times_a_day.max(1),
            all: Vec::new(),
            numbers: BTreeMap::new(),
        }
    }

    /// One to five days before.
    fn days_before(&mut self, date: Date) -> Date {
        let days = 1 + self.random.below(MOST_DAYS_TO_ANNOUNCE);
        date.saturating_sub(i64::from(days).days())
    }

    /// A time of this day, of which there are few: many papers have equal ones.
    fn time(&mut self, date: Date) -> Timestamp {
        let time = i64::from(self.random.below(self.times_a_day));
        let midnight = TimeZone::UTC
            .to_timestamp(date.at(0, 0, 0, 0))
            .unwrap_or_default();
        midnight + SignedDuration::from_mins(24 * 60 / i64::from(self.times_a_day) * time)
    }

    fn add(&mut self, submitted: Date, announced: u32, cross_listed: Option<u32>) {
        let number = self
            .numbers
            .entry((submitted.year(), submitted.month()))
            .or_default();
        *number += 1;
        let number = *number;
        let id = format!(
            "{:02}{:02}.{number:05}",
            submitted.year() % 100,
            submitted.month()
        );
        let submitted = self.time(submitted);
        let random = &mut self.random;
        let (kind, thing, within) = (
            random.choose(&KINDS),
            random.choose(&THINGS),
            random.choose(&THINGS),
        );
        let authors = (0..=random.below(3)).map(|_| {
            let (first, last) = (random.choose(&FIRST_NAMES), random.choose(&LAST_NAMES));
            format!("{first} {last}")
        });
        let authors = authors.collect();
        let mut categories = vec![random.choose(&CATEGORIES)];
        let other = random.choose(&CATEGORIES);
        if random.below(3) == 0 && !categories.contains(&other) {
            categories.push(other);
        }
        let another = random.choose(&CATEGORIES);
        let cross_listed = cross_listed
            .filter(|_| !categories.contains(&another))
            .map(|day| (day, another));
        self.all.push(Paper {
            title: format!("{kind} {thing} in {within}, part {number}"),
            summary: format!("We study {thing} and {within} with $O(n^2)$ elements. {kind} ones exist."),
            id,
            submitted,
            authors,
            categories,
            cross_listed,
            versions: vec![Version {
                announced,
                updated: submitted,
                is_withdrawn: false,
            }],
        });
    }

    /// A new version of some paper, if it may have one again.
    fn revise(&mut self, date: Date, day: u32) {
        let count = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        let index = self.random.below(count) as usize;
        let updated = self.days_before(date);
        let updated = self.time(updated);
        let is_withdrawn = self.random.below(12) == 0;
        if let Some(paper) = self.all.get_mut(index)
            && let Some(last) = paper.versions.last()
            && last.announced + DAYS_BETWEEN_VERSIONS <= day
            && !last.is_withdrawn
        {
            paper.versions.push(Version {
                announced: day,
                updated,
                is_withdrawn,
            });
        }
    }
}
