//! The API server's responses agree with the final state.

use std::collections::BTreeSet;

use super::rows::SLICE;
use super::{Findings, Kind};
use crate::history::{ApiResponse, Endpoint, History, Object, Phase};

/// Statuses that a response may have under faults. 500 is the status of arXiv's own error; the API server itself never causes it.
const FAILURES: [u16; 9] = [400, 403, 404, 410, 429, 500, 502, 503, 504];

/// How many positions are shown.
const SHOWN: usize = 12;

pub(super) fn check(history: &History, findings: &mut Findings) {
    for answer in &history.answers {
        let Some(status) = answer.status else {
            // The connection broke: there was no response.
            continue;
        };
        if !matches!(status, 200 | 202) && !FAILURES.contains(&status) {
            findings.add(
                Kind::Wrong,
                format!("{}: {status} {}", answer.search, answer.body),
            );
        }
        match (answer.endpoint, status) {
            (Endpoint::Search, 200) => recorded(history, answer, findings),
            (Endpoint::Search, 202) => {
                let exists = |object: &Object| Some(&object.name) == answer.name.as_ref();
                if !history.objects.iter().any(exists) && !history.is_before_restore(answer) {
                    let text = format!(
                        "{}: {:?} was accepted and does not exist",
                        answer.search, answer.name
                    );
                    findings.add(Kind::Lost, text);
                }
            }
            (Endpoint::Search, _) => not_recorded(history, answer, status, findings),
            (Endpoint::Papers, 200) => papers(history, answer, findings),
            (Endpoint::Papers, _) => {}
        }
    }
}

/// There is an object with this outcome (its rows are checked with the object).
fn recorded(history: &History, answer: &ApiResponse, findings: &mut Findings) {
    let matches = |object: &&Object| {
        object.search == answer.search
            && object.phase == Phase::Succeeded
            && object.timestamp == answer.timestamp
            && object.num_entries == answer.num_entries
    };
    // After a restore the object may be gone, but not its record.
    let is_kept = || {
        history.is_before_restore(answer)
            && history.queries.iter().any(|row| {
                let is_known = row.uid.as_ref().is_some_and(|uid| history.accepted.contains(uid));
                is_known
                    && Some(row.timestamp) == answer.timestamp
                    && Some(row.num_entries) == answer.num_entries
            })
    };
    if history.objects.iter().find(matches).is_none() && !is_kept() {
        let text = format!(
            "{} got the response {} and is not recorded",
            answer.search, answer.body
        );
        findings.add(Kind::Lost, text);
    }
}

/// After an error nothing is recorded. (A search that finds nothing is a 404, and is recorded.)
fn not_recorded(history: &History, answer: &ApiResponse, status: u16, findings: &mut Findings) {
    // A client that waited while its object was removed by a restore got 410, although the query may have ended just before; and one
    // whose object was removed because of an error finds it brought back.
    if !answer.exclusive || history.is_before_restore(answer) {
        return;
    }
    let of_search = history
        .objects
        .iter()
        .filter(|object| object.search == answer.search);
    for object in of_search {
        let nothing = status == 404 && object.num_results == Some(0);
        if object.phase == Phase::Succeeded && !nothing {
            let text = format!(
                "{} got the response {status} {} and is recorded by {} ({})",
                answer.search, answer.body, object.name, object.uid
            );
            findings.add(Kind::Wrong, text);
        }
    }
    // The search of a removed object is known only from the papers that it left.
    let fetches: BTreeSet<u64> = history
        .requests
        .iter()
        .filter(|request| request.search == answer.search)
        .map(|request| request.connection)
        .collect();
    let mut of_removed = history.results.iter().filter(|row| {
        let removed = row.uid.as_ref().is_some_and(|uid| history.accepted.contains(uid));
        removed && row.paper.is_some_and(|paper| fetches.contains(&paper.fetch))
    });
    if let Some(row) = of_removed.next() {
        let text = format!(
            "{} got the response {status} {} and is recorded by {:?}, removed",
            answer.search, answer.body, row.uid
        );
        findings.add(Kind::Wrong, text);
    }
}

/// As many papers as requested, in order, and those of a slice all from one fetch that was made for this search.
fn papers(history: &History, answer: &ApiResponse, findings: &mut Findings) {
    let found: Vec<_> = answer.papers.iter().flatten().collect();
    let positions: Vec<i64> = found.iter().map(|paper| paper.index).collect();
    let fetches: BTreeSet<(i64, u64)> = found
        .iter()
        .map(|paper| (paper.index / SLICE, paper.fetch))
        .collect();
    let slices: BTreeSet<i64> = fetches.iter().map(|(slice, _)| *slice).collect();
    let is_source = |(slice, fetch): &(i64, u64)| {
        history.requests.iter().any(|request| {
            request.connection == *fetch
                && request.search == answer.search
                && i64::from(request.start) == slice * SLICE
        })
    };
    if positions != (0..answer.max_results).collect::<Vec<_>>()
        || fetches.len() != slices.len()
        || !fetches.iter().all(is_source)
    {
        let shown = &positions[..positions.len().min(SHOWN)];
        let text = format!(
            "{} got {} papers, {shown:?} …, from fetches by slice {fetches:?}",
            answer.search,
            positions.len()
        );
        findings.add(Kind::Wrong, text);
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::{accepts, finds, request, rows};
    use super::*;
    use crate::history::{ArxivAnswer, Paper};
    use std::time::Duration;

    #[test]
    fn response_that_contradicts_final_state_is_violation() {
        use Kind::{Lost, Wrong};
        finds(
            "not recorded",
            |f| f.answers[0].search = "ti:y".into(),
            Lost,
            "is not recorded",
        );
        finds(
            "another time",
            |f| f.answers[0].timestamp = Some(5),
            Lost,
            "is not recorded",
        );
        finds(
            "another count",
            |f| f.answers[0].num_entries = Some(5),
            Lost,
            "is not recorded",
        );
        finds(
            "ours is no 418",
            |f| f.answers[1].status = Some(418),
            Wrong,
            "418",
        );
        finds(
            "an error that is recorded",
            |f| {
                f.answers[1].search = "ti:x".into();
            },
            Wrong,
            "response 429  and is recorded by name-a",
        );
        accepts("another caller had the same search", |f| {
            f.answers[1].search = "ti:x".into();
            f.answers[1].exclusive = false;
        });
        finds(
            "an error that is recorded by one removed",
            |f| {
                f.accepted.insert("r".into());
                rows(f, Some("r"), 9, 2);
                f.results
                    .iter_mut()
                    .filter(|row| row.uid.as_deref() == Some("r"))
                    .for_each(|row| {
                        row.paper = row.paper.map(|paper| Paper { fetch: 2, ..paper });
                    });
            },
            Wrong,
            "removed",
        );
        finds(
            "accepted and missing",
            |f| {
                f.answers[1].status = Some(202);
                f.answers[1].name = Some("name-z".into());
            },
            Lost,
            "accepted and does not exist",
        );
        accepts("accepted", |f| {
            f.answers[1].status = Some(202);
            f.answers[1].name = Some("name-f".into());
        });
        accepts("no response", |f| f.answers[0].status = None);
        finds(
            "a missing paper",
            |f| f.answers[2].papers[0] = None,
            Wrong,
            "got 1 papers, [1]",
        );
        finds(
            "papers of two fetches",
            |f| {
                f.requests.push(request(900, 3, "ti:x", ArxivAnswer::Papers));
                f.answers[2].papers[1] = Some(Paper { index: 1, fetch: 3 });
            },
            Wrong,
            "from fetches by slice {(0, 1), (0, 3)}",
        );
        finds(
            "another search's papers",
            |f| f.answers[2].search = "ti:f".into(),
            Wrong,
            "got 2 papers",
        );
    }

    #[test]
    fn search_without_results_is_404_and_recorded() {
        accepts("nothing", |f| {
            f.answers.remove(0);
            f.answers[0].search = "ti:x".into();
            f.answers[0].status = Some(404);
            f.answers.truncate(1);
            f.reads[0].papers.clear();
            let is_of_search = |uid: &Option<String>| matches!(uid.as_deref(), Some("a" | "b"));
            f.queries.retain(|row| !is_of_search(&row.uid));
            f.results.retain(|row| !is_of_search(&row.uid));
            f.objects.remove(1);
            f.objects[0].num_results = Some(0);
            f.objects[0].num_entries = Some(0);
            f.requests[0].answer = ArxivAnswer::Empty;
            f.requests.push(request(900, 3, "ti:x", ArxivAnswer::Empty));
            rows(f, Some("a"), 1, 0);
            let row = f.queries.iter_mut().find(|row| is_of_search(&row.uid));
            if let Some(row) = row {
                row.num_results = 0;
            }
        });
    }

    #[test]
    fn object_that_a_restore_removed_is_no_loss_while_its_record_stands() {
        let restored = |at: u64| {
            move |history: &mut History| {
                history.objects.retain(|object| object.search != "ti:x");
                history.accepted.extend(["a".to_owned(), "b".to_owned()]);
                history.restores.push(Duration::from_secs(at));
            }
        };
        accepts("restored", restored(5));
        finds("long after it", restored(61), Kind::Lost, "is not recorded");
        let and_lost = |history: &mut History| {
            restored(5)(history);
            let of_object = |uid: &Option<String>| uid.is_some();
            history.queries.retain(|row| !of_object(&row.uid));
            history.results.retain(|row| !of_object(&row.uid));
        };
        finds("without its record", and_lost, Kind::Lost, "is not recorded");
        let accepted = |history: &mut History| {
            history.answers[0].status = Some(202);
            history.answers[0].name = Some("gone".to_owned());
        };
        finds("accepted, and gone", accepted, Kind::Lost, "does not exist");
        accepts("accepted, and removed by a restore", |history| {
            accepted(history);
            history.restores.push(Duration::from_secs(5));
        });
    }
}
