//! What callers of the API server were told is what stands.

use std::collections::BTreeSet;

use super::rows::SLICE;
use super::{Findings, Kind};
use crate::facts::{Answer, Endpoint, Facts, Object, Phase};

/// What an answer may be when the system and arXiv are as bad as they can be. Never a 500 of ours: that one is arXiv's.
const FAILURES: [u16; 9] = [400, 403, 404, 410, 429, 500, 502, 503, 504];

/// How many places are named.
const SHOWN: usize = 12;

pub(super) fn check(facts: &Facts, findings: &mut Findings) {
    for answer in &facts.answers {
        let Some(status) = answer.status else {
            // The connection broke: nothing was told.
            continue;
        };
        if !matches!(status, 200 | 202) && !FAILURES.contains(&status) {
            findings.add(
                Kind::Wrong,
                format!("{}: {status} {}", answer.search, answer.body),
            );
        }
        match (answer.endpoint, status) {
            (Endpoint::Search, 200) => recorded(facts, answer, findings),
            (Endpoint::Search, 202) => {
                let is_there = |object: &Object| Some(&object.name) == answer.name.as_ref();
                if !facts.objects.iter().any(is_there) {
                    let text = format!(
                        "{}: {:?} was accepted and is not there",
                        answer.search, answer.name
                    );
                    findings.add(Kind::Lost, text);
                }
            }
            (Endpoint::Search, _) => not_recorded(facts, answer, status, findings),
            (Endpoint::Papers, 200) => papers(facts, answer, findings),
            (Endpoint::Papers, _) => {}
        }
    }
}

/// An object with this end stands (whose rows are checked with the object).
fn recorded(facts: &Facts, answer: &Answer, findings: &mut Findings) {
    let fits = |object: &&Object| {
        object.search == answer.search
            && object.phase == Phase::Succeeded
            && object.timestamp == answer.timestamp
            && object.num_entries == answer.num_entries
    };
    if facts.objects.iter().find(fits).is_none() {
        let text = format!(
            "{} was answered {} and is not recorded",
            answer.search, answer.body
        );
        findings.add(Kind::Lost, text);
    }
}

/// An error is final. (That arXiv found nothing is told as 404, and is recorded.)
fn not_recorded(facts: &Facts, answer: &Answer, status: u16, findings: &mut Findings) {
    if !answer.alone {
        return;
    }
    let of_search = facts
        .objects
        .iter()
        .filter(|object| object.search == answer.search);
    for object in of_search {
        let nothing = status == 404 && object.num_results == Some(0);
        if object.phase == Phase::Succeeded && !nothing {
            let text = format!(
                "{} was answered {status} {} and is recorded by {} ({})",
                answer.search, answer.body, object.name, object.uid
            );
            findings.add(Kind::Wrong, text);
        }
    }
    // An object that was removed again tells its search only by the papers that it left.
    let fetches: BTreeSet<u64> = facts
        .requests
        .iter()
        .filter(|request| request.search == answer.search)
        .map(|request| request.connection)
        .collect();
    let mut of_removed = facts.results.iter().filter(|row| {
        let removed = row.uid.as_ref().is_some_and(|uid| facts.removed.contains(uid));
        removed && row.paper.is_some_and(|paper| fetches.contains(&paper.fetch))
    });
    if let Some(row) = of_removed.next() {
        let text = format!(
            "{} was answered {status} {} and is recorded by {:?}, removed",
            answer.search, answer.body, row.uid
        );
        findings.add(Kind::Wrong, text);
    }
}

/// As many as asked for, in order, those of a slice all of one fetch that was for this search.
fn papers(facts: &Facts, answer: &Answer, findings: &mut Findings) {
    let found: Vec<_> = answer.papers.iter().flatten().collect();
    let places: Vec<i64> = found.iter().map(|paper| paper.index).collect();
    let fetches: BTreeSet<(i64, u64)> = found
        .iter()
        .map(|paper| (paper.index / SLICE, paper.fetch))
        .collect();
    let slices: BTreeSet<i64> = fetches.iter().map(|(slice, _)| *slice).collect();
    let is_for_it = |(slice, fetch): &(i64, u64)| {
        facts.requests.iter().any(|request| {
            request.connection == *fetch
                && request.search == answer.search
                && i64::from(request.start) == slice * SLICE
        })
    };
    if places != (0..answer.max_results).collect::<Vec<_>>()
        || fetches.len() != slices.len()
        || !fetches.iter().all(is_for_it)
    {
        let shown = &places[..places.len().min(SHOWN)];
        let text = format!(
            "{} was given {} papers, {shown:?} …, of slices' fetches {fetches:?}",
            answer.search,
            places.len()
        );
        findings.add(Kind::Wrong, text);
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::{accepts, finds, request, rows};
    use super::*;
    use crate::facts::{Given, Paper};

    #[test]
    fn answers_that_do_not_hold_are_found() {
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
            "answered 429  and is recorded by name-a",
        );
        accepts("somebody else asked for it too", |f| {
            f.answers[1].search = "ti:x".into();
            f.answers[1].alone = false;
        });
        finds(
            "an error that is recorded by one removed",
            |f| {
                f.removed.insert("r".into());
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
            "accepted and gone",
            |f| {
                f.answers[1].status = Some(202);
                f.answers[1].name = Some("name-z".into());
            },
            Lost,
            "accepted and is not there",
        );
        accepts("accepted", |f| {
            f.answers[1].status = Some(202);
            f.answers[1].name = Some("name-f".into());
        });
        accepts("no answer", |f| f.answers[0].status = None);
        finds(
            "a hole in the papers",
            |f| f.answers[2].papers[0] = None,
            Wrong,
            "given 1 papers, [1]",
        );
        finds(
            "papers of two fetches",
            |f| {
                f.requests.push(request(900, 3, "ti:x", Given::Papers));
                f.answers[2].papers[1] = Some(Paper { index: 1, fetch: 3 });
            },
            Wrong,
            "fetches {(0, 1), (0, 3)}",
        );
        finds(
            "another search's papers",
            |f| f.answers[2].search = "ti:f".into(),
            Wrong,
            "was given 2 papers",
        );
    }

    #[test]
    fn nothing_found_is_told_as_an_error_and_recorded() {
        accepts("nothing", |f| {
            f.answers.remove(0);
            f.answers[0].search = "ti:x".into();
            f.answers[0].status = Some(404);
            f.answers.truncate(1);
            f.reads[0].papers.clear();
            f.queries.retain(|row| row.uid.is_none());
            f.results.retain(|row| row.uid.is_none());
            f.objects.remove(1);
            f.objects[0].num_results = Some(0);
            f.objects[0].num_entries = Some(0);
            f.requests[0].answer = Given::Nothing;
            f.requests.push(request(900, 3, "ti:x", Given::Nothing));
            rows(f, Some("a"), 1, 0);
            let row = f.queries.iter_mut().find(|row| row.uid.is_some());
            if let Some(row) = row {
                row.num_results = 0;
            }
        });
    }
}
