//! One row in `queries` and exactly its rows in `results` for each success, by uid; no others; no number twice.

use std::collections::{BTreeMap, BTreeSet};

use super::{Findings, Kind};
use crate::facts::{Facts, Object, Phase, QueryRow, ResultRow};

/// arXiv gives no more in one answer.
pub(super) const SLICE: i64 = 2_000;

/// The rows of one uid.
#[derive(Default)]
struct Rows<'a> {
    queries: Vec<&'a QueryRow>,
    results: Vec<&'a ResultRow>,
}

pub(super) fn check(facts: &Facts, findings: &mut Findings) {
    let mut by_uid: BTreeMap<&str, Rows<'_>> = BTreeMap::new();
    for row in &facts.queries {
        if let Some(uid) = &row.uid {
            by_uid.entry(uid).or_default().queries.push(row);
        }
    }
    for row in &facts.results {
        if let Some(uid) = &row.uid {
            by_uid.entry(uid).or_default().results.push(row);
        }
    }
    for object in &facts.objects {
        let rows = by_uid.remove(object.uid.as_str()).unwrap_or_default();
        match object.phase {
            Phase::Succeeded => of_success(facts, object, &rows, findings),
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
    }
    for (uid, rows) in by_uid {
        if facts.removed.contains(uid) {
            of_removed(facts, uid, &rows, findings);
        } else {
            findings.add(
                Kind::Doubled,
                format!("rows of {uid}, of which no object was seen"),
            );
        }
    }
}

fn of_success(facts: &Facts, object: &Object, rows: &Rows<'_>, findings: &mut Findings) {
    let who = format!("{} ({})", object.name, object.uid);
    match rows.queries.as_slice() {
        [] => findings.add(Kind::Lost, format!("{who} succeeded and has no row in queries")),
        [row] => {
            let told = [
                object.number,
                object.timestamp,
                object.http_status,
                object.num_results,
                object.num_entries,
            ];
            let stands = [
                row.number,
                row.timestamp,
                row.status,
                row.num_results,
                row.num_entries,
            ]
            .map(Some);
            if told != stands {
                findings.add(Kind::Wrong, format!("{who} tells {told:?}, its row {stands:?}"));
            }
            let wanted = if object.num_results == Some(0) {
                0
            } else {
                object.max_results
            };
            if row.num_entries != wanted {
                let text = format!("{who} has {} entries, not {wanted}", row.num_entries);
                findings.add(Kind::Lost, text);
            }
            whole(facts, &who, row, &rows.results, findings);
            fetched_for(facts, &who, &object.search, &rows.results, findings);
        }
        many => findings.add(Kind::Doubled, format!("{who} has {} rows in queries", many.len())),
    }
}

/// An object that was removed may have come to its end before, or not; never to half of it. On two servers its results
/// may be alone until they are swept.
fn of_removed(facts: &Facts, uid: &str, rows: &Rows<'_>, findings: &mut Findings) {
    let who = format!("{uid}, removed,");
    match rows.queries.as_slice() {
        [] if facts.split => {}
        [] => findings.add(Kind::Doubled, format!("{who} has results and no row in queries")),
        [row] => whole(facts, &who, row, &rows.results, findings),
        many => findings.add(Kind::Doubled, format!("{who} has {} rows in queries", many.len())),
    }
}

/// All results, once, in order, under one number.
fn whole(facts: &Facts, who: &str, row: &QueryRow, results: &[&ResultRow], findings: &mut Findings) {
    let mut places: Vec<_> = results.iter().map(|result| result.place).collect();
    places.sort_unstable();
    if places.windows(2).any(|pair| pair[0] == pair[1]) {
        findings.add(Kind::Doubled, format!("{who} has a place twice: {places:?}"));
    } else if places != (0..row.num_entries).collect::<Vec<_>>() {
        let text = format!("{who} has places {places:?} of {}", row.num_entries);
        findings.add(Kind::Lost, text);
    }
    for result in results {
        // On two servers, results of an earlier try may keep its time.
        if result.number != row.number || (!facts.split && result.timestamp != row.timestamp) {
            let text = format!(
                "{who} has number {} and time {}, its result {} number {} and time {}",
                row.number, row.timestamp, result.place, result.number, result.timestamp
            );
            findings.add(Kind::Wrong, text);
        }
    }
}

/// All of a slice from one fetch, which was for this search.
fn fetched_for(facts: &Facts, who: &str, search: &str, results: &[&ResultRow], findings: &mut Findings) {
    let mut fetches: BTreeMap<i64, BTreeSet<u64>> = BTreeMap::new();
    for result in results {
        match result.paper {
            Some(paper) if paper.index == result.place => {
                fetches
                    .entry(result.place / SLICE)
                    .or_default()
                    .insert(paper.fetch);
            }
            paper => {
                let text = format!("{who} has at place {} another paper: {paper:?}", result.place);
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
            let was_for_it = facts.requests.iter().any(|request| {
                request.connection == fetch
                    && request.search == search
                    && i64::from(request.start) == slice * SLICE
            });
            if !was_for_it {
                findings.add(
                    Kind::Wrong,
                    format!("{who} has papers of fetch {fetch}, not made for it"),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::{accepts, finds, rows};
    use super::*;
    use crate::facts::Paper;

    #[test]
    #[allow(clippy::too_many_lines, reason = "a table")]
    fn wrong_rows_are_found() {
        use Kind::{Doubled, Lost, Wrong};
        let of = |facts: &Facts, uid: &str| {
            let mut places = facts.results.iter();
            places
                .position(|row| row.uid.as_deref() == Some(uid))
                .unwrap_or_default()
        };
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
            "a place twice",
        );
        finds(
            "no results",
            |f| f.results.retain(|row| row.uid.as_deref() != Some("a")),
            Lost,
            "places []",
        );
        finds(
            "a hole",
            |f| drop(f.results.remove(of(f, "a"))),
            Lost,
            "places [1] of 2",
        );
        finds(
            "one too many",
            |f| {
                f.results.push(ResultRow {
                    place: 2,
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
        let others = |f: &mut Facts| {
            let of_a = f.results.iter_mut().filter(|row| row.uid.as_deref() == Some("a"));
            for (row, index) in of_a.zip(0..) {
                row.paper = Some(Paper { index, fetch: 2 });
            }
        };
        finds("another search's papers", others, Wrong, "not made for it");
        finds(
            "swapped papers",
            |f| f.results[0].paper = Some(Paper { index: 1, fetch: 1 }),
            Wrong,
            "another paper",
        );
        finds(
            "a stranger's paper",
            |f| f.results[0].paper = None,
            Wrong,
            "another paper",
        );
        finds(
            "another number told",
            |f| f.objects[0].number = Some(7),
            Wrong,
            "tells",
        );
        finds(
            "another count told",
            |f| f.objects[0].num_entries = Some(1),
            Wrong,
            "tells",
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
        let only_results = |f: &mut Facts| {
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
            "rows of nobody known",
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
    fn a_removed_object_has_all_or_nothing() {
        let removed = |facts: &mut Facts, keep_query: bool| {
            facts.removed.insert("r".into());
            rows(facts, Some("r"), 9, 2);
            if !keep_query {
                facts.queries.pop();
            }
        };
        accepts("all", |facts| removed(facts, true));
        finds(
            "results alone",
            |facts| removed(facts, false),
            Kind::Doubled,
            "no row in queries",
        );
        accepts("results alone on two servers", |facts| {
            removed(facts, false);
            facts.split = true;
        });
        finds(
            "half",
            |facts| {
                removed(facts, true);
                facts.results.pop();
            },
            Kind::Lost,
            "places [0] of 2",
        );
    }
}
