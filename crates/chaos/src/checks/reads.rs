//! Nobody ever read half of a query.

use std::collections::BTreeMap;

use super::{Findings, Kind};
use crate::facts::{Facts, Paper, Phase};

pub(super) fn check(facts: &Facts, findings: &mut Findings) {
    for read in &facts.reads {
        let mut objects = facts.objects.iter();
        let Some(object) = objects.find(|object| object.name == read.name) else {
            continue;
        };
        let stands: Vec<Option<Paper>> = facts
            .results
            .iter()
            .filter(|row| row.uid.as_ref() == Some(&object.uid))
            .map(|row| row.paper)
            .take(read.papers.len().max(1))
            .collect();
        if object.phase != Phase::Succeeded
            || read.papers != stands
            || !is_whole(object.num_entries, read.papers.len())
        {
            findings.add(
                Kind::Wrong,
                format!("{} was read as {:?}, and has {stands:?}", read.name, read.papers),
            );
        }
    }
    for overview in &facts.overviews {
        halves(overview, findings);
    }
}

/// The most that one answer has.
pub(crate) const PAGE: usize = 1_000;

fn is_whole(entries: Option<i64>, read: usize) -> bool {
    entries
        .and_then(|entries| usize::try_from(entries).ok())
        .map(|entries| entries.min(PAGE))
        == Some(read)
}

/// All that came of one fetch has the same papers, each as often as the others: every query has all of them.
fn halves(overview: &[Option<Paper>], findings: &mut Findings) {
    let mut of_fetch: BTreeMap<u64, BTreeMap<i64, usize>> = BTreeMap::new();
    for paper in overview.iter().flatten() {
        *of_fetch
            .entry(paper.fetch)
            .or_default()
            .entry(paper.index)
            .or_default() += 1;
    }
    for (fetch, counts) in of_fetch {
        let first = counts.values().next();
        if counts.values().any(|count| Some(count) != first) {
            findings.add(
                Kind::Wrong,
                format!("half a query of fetch {fetch} was read: {counts:?}"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::{accepts, finds};
    use super::*;

    #[test]
    fn half_a_query_is_found() {
        finds(
            "half a page",
            |f| f.reads[0].papers.truncate(1),
            Kind::Wrong,
            "was read as",
        );
        finds(
            "nothing",
            |f| f.reads[0].papers.clear(),
            Kind::Wrong,
            "was read as",
        );
        finds(
            "another's",
            |f| f.reads[0].papers[0] = None,
            Kind::Wrong,
            "was read as",
        );
        accepts("removed since", |f| f.reads[0].name = "gone".into());
        finds(
            "half of all",
            |f| f.overviews[0].truncate(3),
            Kind::Wrong,
            "half a query",
        );
    }
}
