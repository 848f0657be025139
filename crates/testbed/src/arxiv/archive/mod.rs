//! The papers of an invented arXiv, day by day: a model of what arXiv's search finds on each morning, the same for the
//! same seed.
//!
//! Papers are announced on the evenings from Sunday to Thursday, so mornings of Saturdays and Sundays bring nothing. A
//! paper is announced one to five days after its submission, with the date of the submission; so is a new version. Some
//! papers are listed in another category days after they were announced, without a new version. The last version of some
//! says that the paper is withdrawn. On some days the index is that of the day before, and on some arXiv does not answer.
//! Many papers have equal dates, and come in another order in each answer.

mod generate;
mod random;
mod search;

use std::collections::BTreeSet;

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use self::search::Search;
use super::entry::Entry;

/// So many days lie between two versions of one paper, at least: each of them is found for so long.
pub const DAYS_BETWEEN_VERSIONS: u32 = 8;

/// What an archive is made of. The same one gives the same papers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ArchiveSpec {
    /// Chooses the papers.
    pub seed: u64,
    /// Day 0, on which only older papers are there.
    pub first: Date,
    /// How many days there are after it; on later ones nothing is announced.
    pub days: u32,
    /// How many new papers are announced on one day, on average.
    pub papers_a_day: u32,
    /// How many older papers there are.
    pub older: u32,
    /// The older ones are from so many days before day 0.
    pub older_days: u32,
    /// How many times of a day papers have: the fewer, the more of them have equal dates.
    pub times_a_day: u32,
}

impl Default for ArchiveSpec {
    /// A month.
    fn default() -> Self {
        Self {
            seed: 1,
            // A Sunday.
            first: Date::constant(2026, 1, 4),
            days: 30,
            papers_a_day: 30,
            older: 200,
            older_days: 3 * 365,
            times_a_day: 48,
        }
    }
}

/// A version of a paper.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    /// The first day on whose morning it is found.
    announced: u32,
    updated: Timestamp,
    is_withdrawn: bool,
}

/// A paper with its versions, the first one first.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Paper {
    id: String,
    submitted: Timestamp,
    title: String,
    summary: String,
    authors: Vec<String>,
    /// The first one is the primary one.
    categories: Vec<&'static str>,
    /// Another category, and from which day on.
    cross_listed: Option<(u32, &'static str)>,
    versions: Vec<Version>,
}

/// How arXiv is on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayKind {
    /// The index has what was announced.
    Usual,
    /// The index is that of the day before.
    Stale,
    /// No request is answered.
    Outage,
}

/// A version of a paper, by names: the identifier without a version, and the version.
pub type VersionName = (String, u16);

/// All papers, with the days on which they appear.
#[derive(Clone, Debug)]
pub struct Archive {
    spec: ArchiveSpec,
    papers: Vec<Paper>,
    kinds: Vec<DayKind>,
}

impl Archive {
    /// The archive of this description.
    pub fn new(spec: ArchiveSpec) -> Self {
        let (papers, kinds) = generate::generate(&spec);
        Self { spec, papers, kinds }
    }

    /// Its description.
    pub fn spec(&self) -> &ArchiveSpec {
        &self.spec
    }

    /// The date of a day.
    pub fn date(&self, day: u32) -> Date {
        generate::date(&self.spec, day)
    }

    /// How arXiv is on a day.
    pub fn kind(&self, day: u32) -> DayKind {
        let kind = self.kinds.get(day as usize).copied();
        kind.unwrap_or(DayKind::Usual)
    }

    /// All versions that a search has found on any morning up to a day, if it was sent on each.
    ///
    /// `search` is in arXiv's grammar: words and phrases with prefixes, `AND`, `OR`, `ANDNOT`, parentheses, and
    /// `submittedDate:[FROM TO TO]`.
    pub fn found_until(&self, search: &str, day: u32) -> Result<BTreeSet<VersionName>, String> {
        let mut all = BTreeSet::new();
        for day in 0..=day {
            if self.kind(day) != DayKind::Outage {
                all.extend(self.found(search, day)?);
            }
        }
        Ok(all)
    }

    /// The versions that a search finds on the morning of a day: the last one of each paper.
    pub fn found(&self, search: &str, day: u32) -> Result<BTreeSet<VersionName>, String> {
        let matches = self.matches(&Search::parse(search)?, day);
        Ok(matches
            .into_iter()
            .map(|found| (found.paper.id.clone(), found.number()))
            .collect())
    }

    /// Papers that match on a day, each with the number of its version.
    fn matches(&self, search: &Search, day: u32) -> Vec<Found<'_>> {
        let shown = match self.kind(day) {
            DayKind::Stale => day.saturating_sub(1),
            DayKind::Usual | DayKind::Outage => day,
        };
        let found = self.papers.iter().filter_map(|paper| Found::on(paper, shown));
        found.filter(|found| search.matches(found)).collect()
    }

    /// The results of a search on a day, sorted as arXiv does for `sortBy` and `sortOrder`. Equal ones come in an order that
    /// depends on `answer`, the number of the answer.
    pub(super) fn results(&self, asked: &Sorted<'_>, day: u32, answer: u64) -> Result<Vec<Entry>, String> {
        let search = Search::parse(asked.search)?;
        let mut found = self.matches(&search, day);
        if !asked.ids.is_empty() {
            let ids: Vec<&str> = asked.ids.split(',').collect();
            found.retain(|found| ids.iter().any(|id| found.is_named(id)));
        }
        let place = |found: &Found<'_>| random::mixed(self.spec.seed, &found.paper.id);
        let second = |found: &Found<'_>| match asked.by {
            "lastUpdatedDate" => found.version().updated.as_second(),
            "submittedDate" => found.paper.submitted.as_second(),
            // As relevant as chance says.
            _ => (place(found) / 2).cast_signed(),
        };
        let is_ascending = asked.order == "ascending";
        found.sort_by_cached_key(|found| {
            let second = second(found);
            let key = if is_ascending { second } else { -second };
            (key, random::mixed(answer, &found.paper.id))
        });
        Ok(found.iter().map(Found::entry).collect())
    }
}

/// A search with its order, as a request has them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sorted<'a> {
    pub(super) search: &'a str,
    /// Identifiers, with commas between them; all papers if there are none.
    pub(super) ids: &'a str,
    pub(super) by: &'a str,
    pub(super) order: &'a str,
}

/// A paper as the search has it on a day.
struct Found<'a> {
    paper: &'a Paper,
    /// The index of its version.
    last: usize,
    categories: Vec<&'static str>,
}

impl<'a> Found<'a> {
    fn on(paper: &'a Paper, day: u32) -> Option<Self> {
        let last = paper
            .versions
            .iter()
            .rposition(|version| version.announced <= day)?;
        let mut categories = paper.categories.clone();
        categories.extend(
            paper
                .cross_listed
                .filter(|(since, _)| *since <= day)
                .map(|(_, category)| category),
        );
        Some(Self {
            paper,
            last,
            categories,
        })
    }

    fn version(&self) -> &Version {
        &self.paper.versions[self.last]
    }

    fn number(&self) -> u16 {
        u16::try_from(self.last + 1).unwrap_or(u16::MAX)
    }

    fn is_named(&self, id: &str) -> bool {
        id == self.paper.id || id == format!("{}v{}", self.paper.id, self.number())
    }

    fn entry(&self) -> Entry {
        let version = self.version();
        let comment = if version.is_withdrawn {
            "This paper has been withdrawn by the authors".to_owned()
        } else {
            format!(
                "{} pages, version {}",
                8 + self.paper.title.len() % 30,
                self.number()
            )
        };
        Entry {
            id: format!("{}v{}", self.paper.id, self.number()),
            title: self.paper.title.clone(),
            summary: self.paper.summary.clone(),
            authors: self.paper.authors.clone(),
            comment,
            journal: None,
            doi: None,
            affiliation: None,
            categories: self.categories.iter().copied().map(str::to_owned).collect(),
            published: self.paper.submitted,
            updated: version.updated,
        }
    }
}

#[cfg(test)]
mod tests;
