//! Each succeeded object has one row in `queries` and exactly its rows in `results`, by uid, and each failed one a tombstone.
//! There are no other rows, and no number occurs twice.

use std::collections::{BTreeMap, BTreeSet};

use super::{Findings, Kind};
use crate::history::{History, Object, Phase, QueryRow, ResultRow};

/// The most papers that arXiv returns for one request.
pub(super) const SLICE: i64 = 2_000;

/// The rows of one uid.
#[derive(Default)]
struct Rows<'a> {
    queries: Vec<&'a QueryRow>,
    results: Vec<&'a ResultRow>,
}

pub(super) fn check(history: &History, findings: &mut Findings) {
    let mut by_uid: BTreeMap<&str, Rows<'_>> = BTreeMap::new();
    for row in &history.queries {
        if let Some(uid) = &row.uid {
            by_uid.entry(uid).or_default().queries.push(row);
        }
    }
    for row in &history.results {
        if let Some(uid) = &row.uid {
            by_uid.entry(uid).or_default().results.push(row);
        }
    }
    for object in &history.objects {
        let rows = by_uid.remove(object.uid.as_str()).unwrap_or_default();
        match object.phase {
            Phase::Succeeded => check_succeeded(history, object, &rows, findings),
            Phase::Failed if !rows.queries.is_empty() || !rows.results.is_empty() => findings.add(
                Kind::Wrong,
                format!(
                    "{} ({}) failed and has {} queries and {} results",
                    object.name,
                    object.uid,
                    rows.queries.len(),
                    rows.results.len()
                ),
            ),
            Phase::Failed | Phase::Unfinished => {}
        }
        let has_tombstone = history.tombstones.contains(&object.uid);
        if object.phase != Phase::Unfinished && has_tombstone != (object.phase == Phase::Failed) {
            let has = if has_tombstone { "a" } else { "no" };
            let (name, uid, phase) = (&object.name, &object.uid, object.phase);
            findings.add(
                Kind::Wrong,
                format!("{name} ({uid}) ended as {phase:?} and has {has} tombstone"),
            );
        }
    }
    for (uid, rows) in by_uid {
        if history.accepted.contains(uid) {
            check_removed(history, uid, &rows, findings);
        } else {
            findings.add(
                Kind::Doubled,
                format!("rows of {uid}, of which no object was seen"),
            );
        }
    }
}

fn check_succeeded(history: &History, object: &Object, rows: &Rows<'_>, findings: &mut Findings) {
    let who = format!("{} ({})", object.name, object.uid);
    match rows.queries.as_slice() {
        [] => findings.add(Kind::Lost, format!("{who} succeeded and has no row in queries")),
        [row] => {
            let status = [
                object.number,
                object.timestamp,
                object.http_status,
                object.num_results,
                object.num_entries,
            ];
            let stored = [
                row.number,
                row.timestamp,
                row.status,
                row.num_results,
                row.num_entries,
            ]
            .map(Some);
            if status != stored {
                findings.add(
                    Kind::Wrong,
                    format!("{who} has the status {status:?} and the row {stored:?}"),
                );
            }
            let expected = if object.is_run {
                items_of(history, &object.uid)
            } else if object.num_results == Some(0) {
                0
            } else {
                object.max_results
            };
            if row.num_entries != expected {
                let text = format!("{who} has {} entries, not {expected}", row.num_entries);
                findings.add(Kind::Lost, text);
            }
            check_complete(history, &who, row, &rows.results, findings);
            if !object.is_run {
                check_source(history, &who, &object.search, &rows.results, findings);
            }
        }
        many => findings.add(Kind::Doubled, format!("{who} has {} rows in queries", many.len())),
    }
}

/// How many items of feeds a run has found.
fn items_of(history: &History, run: &str) -> i64 {
    let items = history.feeds.iter().flat_map(|feed| &feed.items);
    let count = items.filter(|item| item.origin == run).count();
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A removed object may have been recorded before, or not, but never partly. On two servers its results may be there without
/// the row in `queries` until they are swept.
fn check_removed(history: &History, uid: &str, rows: &Rows<'_>, findings: &mut Findings) {
    let who = format!("{uid}, removed,");
    match rows.queries.as_slice() {
        [] if history.split => {}
        [] => findings.add(Kind::Doubled, format!("{who} has results and no row in queries")),
        [row] => check_complete(history, &who, row, &rows.results, findings),
        many => findings.add(Kind::Doubled, format!("{who} has {} rows in queries", many.len())),
    }
}

/// All results are there, once, in order, with the same number.
fn check_complete(
    history: &History,
    who: &str,
    row: &QueryRow,
    results: &[&ResultRow],
    findings: &mut Findings,
) {
    let mut positions: Vec<_> = results.iter().map(|result| result.position).collect();
    positions.sort_unstable();
    if positions.windows(2).any(|pair| pair[0] == pair[1]) {
        findings.add(
            Kind::Doubled,
            format!("{who} has a position twice: {positions:?}"),
        );
    } else if positions != (0..row.num_entries).collect::<Vec<_>>() {
        let text = format!("{who} has positions {positions:?} of {}", row.num_entries);
        findings.add(Kind::Lost, text);
    }
    for result in results {
        // On two servers, results of an earlier attempt may keep its time.
        if result.number != row.number || (!history.split && result.timestamp != row.timestamp) {
            let text = format!(
                "{who} has number {} and time {}, its result {} number {} and time {}",
                row.number, row.timestamp, result.position, result.number, result.timestamp
            );
            findings.add(Kind::Wrong, text);
        }
    }
}

/// All papers of a slice come from one fetch, which was made for this search.
fn check_source(history: &History, who: &str, search: &str, results: &[&ResultRow], findings: &mut Findings) {
    let mut fetches: BTreeMap<i64, BTreeSet<u64>> = BTreeMap::new();
    for result in results {
        match result.paper {
            Some(paper) if paper.index == result.position => {
                fetches
                    .entry(result.position / SLICE)
                    .or_default()
                    .insert(paper.fetch);
            }
            paper => {
                let text = format!(
                    "{who} has another paper at position {}: {paper:?}",
                    result.position
                );
                findings.add(Kind::Wrong, text);
            }
        }
    }
    for (slice, of) in fetches {
        if of.len() > 1 {
            findings.add(
                Kind::Doubled,
                format!("{who} has slice {slice} from fetches {of:?}"),
            );
        }
        for fetch in of {
            let was_for_it = history.requests.iter().any(|request| {
                request.connection == fetch
                    && request.search == search
                    && i64::from(request.start) == slice * SLICE
            });
            if !was_for_it {
                findings.add(
                    Kind::Wrong,
                    format!("{who} has papers of fetch {fetch}, which was not made for it"),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::{accepts, finds, rows};
    use super::*;
    use crate::history::Paper;

    #[test]
    #[allow(clippy::too_many_lines, reason = "a table")]
    fn wrong_rows_are_violations() {
        use Kind::{Doubled, Lost, Wrong};
        let of = |history: &History, uid: &str| {
            let mut rows = history.results.iter();
            rows.position(|row| row.uid.as_deref() == Some(uid))
                .unwrap_or_default()
        };
        finds(
            "a run with more results than items",
            |f| drop(f.feeds[0].items.pop()),
            Lost,
            "2 entries, not 1",
        );
        finds("no row", |f| drop(f.queries.remove(0)), Lost, "no row in queries");
        finds(
            "two rows",
            |f| f.queries.push(f.queries[0].clone()),
            Doubled,
            "2 rows in queries",
        );
        finds(
            "a doubled result",
            |f| f.results.push(f.results[1].clone()),
            Doubled,
            "a position twice",
        );
        finds(
            "no results",
            |f| f.results.retain(|row| row.uid.as_deref() != Some("a")),
            Lost,
            "positions []",
        );
        finds(
            "a missing row",
            |f| drop(f.results.remove(of(f, "a"))),
            Lost,
            "positions [1] of 2",
        );
        finds(
            "one too many",
            |f| {
                f.results.push(ResultRow {
                    position: 2,
                    ..f.results[1].clone()
                });
            },
            Lost,
            "[0, 1, 2]",
        );
        finds(
            "two fetches",
            |f| f.results[0].paper = Some(Paper { index: 0, fetch: 2 }),
            Doubled,
            "fetches {1, 2}",
        );
        let others = |f: &mut History| {
            let of_a = f.results.iter_mut().filter(|row| row.uid.as_deref() == Some("a"));
            for (row, index) in of_a.zip(0..) {
                row.paper = Some(Paper { index, fetch: 2 });
            }
        };
        finds("another search's papers", others, Wrong, "was not made for it");
        finds(
            "swapped papers",
            |f| f.results[0].paper = Some(Paper { index: 1, fetch: 1 }),
            Wrong,
            "another paper",
        );
        finds(
            "a paper of a foreign row",
            |f| f.results[0].paper = None,
            Wrong,
            "another paper",
        );
        finds(
            "another number in the status",
            |f| f.objects[0].number = Some(7),
            Wrong,
            "has the status",
        );
        finds(
            "another count in the status",
            |f| f.objects[0].num_entries = Some(1),
            Wrong,
            "has the status",
        );
        finds(
            "a result under another number",
            |f| f.results[0].number = 9,
            Wrong,
            "its result 0 number 9",
        );
        finds(
            "failed with rows",
            |f| rows(f, Some("f"), 9, 2),
            Wrong,
            "failed and has 1 queries",
        );
        let only_results = |f: &mut History| {
            rows(f, Some("f"), 9, 2);
            f.queries.pop();
        };
        finds(
            "failed with results",
            only_results,
            Wrong,
            "failed and has 0 queries and 2 results",
        );
        finds(
            "failed without a tombstone",
            |f| f.tombstones.clear(),
            Wrong,
            "ended as Failed and has no tombstone",
        );
        finds(
            "succeeded with a tombstone",
            |f| {
                f.tombstones.insert("a".into());
            },
            Wrong,
            "ended as Succeeded and has a tombstone",
        );
        finds(
            "rows of an unknown object",
            |f| rows(f, Some("z"), 9, 2),
            Doubled,
            "no object was seen",
        );
        finds(
            "half a page",
            |f| {
                f.objects[0].num_entries = Some(1);
                f.queries[0].num_entries = 1;
                f.results.remove(1);
            },
            Lost,
            "1 entries, not 2",
        );
    }

    #[test]
    fn removed_object_has_all_rows_or_none() {
        let removed = |history: &mut History, keep_query: bool| {
            history.accepted.insert("r".into());
            rows(history, Some("r"), 9, 2);
            if !keep_query {
                history.queries.pop();
            }
        };
        accepts("all", |history| removed(history, true));
        finds(
            "results only",
            |history| removed(history, false),
            Kind::Doubled,
            "no row in queries",
        );
        accepts("results only on two servers", |history| {
            removed(history, false);
            history.split = true;
        });
        finds(
            "half",
            |history| {
                removed(history, true);
                history.results.pop();
            },
            Kind::Lost,
            "positions [0] of 2",
        );
    }
}
