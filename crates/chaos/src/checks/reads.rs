//! No client ever read only a part of a query.

use std::collections::BTreeMap;

use super::{Findings, Kind};
use crate::history::{History, Paper, Phase};

pub(super) fn check(history: &History, findings: &mut Findings) {
    for read in &history.reads {
        let mut objects = history.objects.iter();
        let Some(object) = objects.find(|object| object.name == read.name) else {
            continue;
        };
        let stored: Vec<Option<Paper>> = history
            .results
            .iter()
            .filter(|row| row.uid.as_ref() == Some(&object.uid))
            .map(|row| row.paper)
            .take(read.papers.len().max(1))
            .collect();
        if object.phase != Phase::Succeeded
            || read.papers != stored
            || !is_whole(object.num_entries, read.papers.len())
        {
            findings.add(
                Kind::Wrong,
                format!("{} was read as {:?}, and has {stored:?}", read.name, read.papers),
            );
        }
    }
    for full_read in &history.full_reads {
        find_partial_queries(full_read, findings);
    }
}

/// The most results in one response.
pub(crate) const PAGE: usize = 1_000;

fn is_whole(entries: Option<i64>, read: usize) -> bool {
    entries
        .and_then(|entries| usize::try_from(entries).ok())
        .map(|entries| entries.min(PAGE))
        == Some(read)
}

/// All queries that use one fetch have the same papers, so each paper of a fetch occurs equally often.
fn find_partial_queries(full_read: &[Option<Paper>], findings: &mut Findings) {
    let mut of_fetch: BTreeMap<u64, BTreeMap<i64, usize>> = BTreeMap::new();
    for paper in full_read.iter().flatten() {
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
                format!("a part of a query with fetch {fetch} was read: {counts:?}"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::{accepts, finds};
    use super::*;

    #[test]
    fn partial_read_is_violation() {
        finds(
            "a part of a page",
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
            "a paper of another query",
            |f| f.reads[0].papers[0] = None,
            Kind::Wrong,
            "was read as",
        );
        accepts("removed since", |f| f.reads[0].name = "gone".into());
        finds(
            "half of all",
            |f| f.full_reads[0].truncate(3),
            Kind::Wrong,
            "a part of a query",
        );
    }
}
