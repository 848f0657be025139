//! arXiv was asked in time, over one connection, and for nothing that it had answered already.

use std::collections::BTreeMap;
use std::time::Duration;

use arxiv::arxiv_day;

use super::{Findings, Kind};
use crate::facts::{Disturbance, Facts, Given, Request};

/// The stand-in notes what it sees when its thread runs, which on a busy machine is so much later.
const LATENESS: Duration = Duration::from_millis(20);
/// The longest that a process waits for an answer, as the harness sets it, with some time to come to its end.
pub(crate) const LONGEST_REQUEST: Duration = Duration::from_secs(4);
/// A process gives up a request after 2 s, as the harness sets it, and the stand-in may note the connection's beginning late.
/// On a busy machine that happens by itself.
const GIVEN_UP: Duration = Duration::from_millis(1_500);
/// An answer is read and stored so soon after its connection is closed, unless something disturbs that: one of 2,000 papers
/// takes long to read on a busy machine.
const STORED_WITHIN: Duration = Duration::from_secs(3);
/// No query comes to ask arXiv later than this after it began. Its pages are of arXiv's day on which it began.
const WAITS: Duration = Duration::from_mins(5);

pub(super) fn check(facts: &Facts, findings: &mut Findings) {
    spacing(facts, findings);
    connections(facts, findings);
    for (first, again) in asked_again(facts) {
        if !is_lost(facts, first, again) {
            let text = format!(
                "{} from {} was answered at {:?} (connection {}) and asked for again at {:?} (connection {})",
                first.search, first.start, first.at, first.connection, again.at, again.connection
            );
            findings.add(Kind::AskedTwice, text);
        }
    }
}

/// How many requests were for something that had been asked for before, by why the fetch before was of no use. Together with
/// the distinct searches these are all requests.
pub(crate) fn asked_again_after(facts: &Facts) -> BTreeMap<&'static str, usize> {
    let mut after = BTreeMap::new();
    for (first, _) in asked_again(facts) {
        let why = match first.answer {
            Given::Papers if is_given_up(facts, first) => "late",
            Given::Papers => "disturbed",
            Given::Nothing => "nothing",
            Given::Throttled => "throttled",
            Given::Broken => "broken",
            Given::Refused => "refused",
            Given::Lost => "unanswered",
            Given::Elsewhere => "redirected",
        };
        *after.entry(why).or_default() += 1;
    }
    after
}

fn spacing(facts: &Facts, findings: &mut Findings) {
    for pair in facts.requests.windows(2) {
        let between = pair[1].at.saturating_sub(pair[0].at);
        if between + LATENESS < facts.interval {
            let text = format!(
                "connections {} and {}: {between:?} between two requests, at {:?}",
                pair[0].connection, pair[1].connection, pair[1].at
            );
            findings.add(Kind::Impolite, text);
        }
    }
}

fn connections(facts: &Facts, findings: &mut Findings) {
    let all: Vec<_> = facts.connections.iter().collect();
    for (place, (number, connection)) in all.iter().enumerate() {
        // Numbers are given in the order of opening.
        for (other, later) in &all[place + 1..] {
            let overlap = connection
                .closed
                .map(|closed| closed.saturating_sub(later.opened));
            if overlap.is_none_or(|overlap| overlap > LATENESS) {
                let text = format!(
                    "connection {other}, opened at {:?} while {number} was open, for {overlap:?}",
                    later.opened
                );
                findings.add(Kind::Impolite, text);
            }
        }
    }
}

/// Each request with the next one for the same.
fn asked_again(facts: &Facts) -> impl Iterator<Item = (&Request, &Request)> {
    facts.requests.iter().enumerate().filter_map(|(place, first)| {
        let mut later = facts.requests[place + 1..].iter();
        let again = later.find(|later| later.search == first.search && later.start == first.start)?;
        Some((first, again))
    })
}

/// Whether its connection was closed so late that its process did not wait for the answer any more.
pub(super) fn is_given_up(facts: &Facts, request: &Request) -> bool {
    let connection = facts.connections.get(&request.connection);
    connection.is_some_and(|connection| {
        let closed = connection.closed;
        closed.is_none_or(|closed| closed.saturating_sub(connection.opened) >= GIVEN_UP)
    })
}

/// Whether the first one's answer was of no use, may have been for another day than the second one's, or something came between
/// it and its place in the store.
fn is_lost(facts: &Facts, first: &Request, again: &Request) -> bool {
    let may_be_of = |first: &Request| arxiv_day(first.time - WAITS);
    if first.answer != Given::Papers || is_given_up(facts, first) || may_be_of(first) != arxiv_day(again.time)
    {
        return true;
    }
    let closed = facts
        .connections
        .get(&first.connection)
        .and_then(|connection| connection.closed);
    let until = closed.map_or(again.at, |closed| (closed + STORED_WITHIN).min(again.at));
    let overlaps = |disturbance: &Disturbance| {
        let who = disturbance.victim.is_none() || disturbance.victim == first.by;
        who && disturbance.from <= until && first.at <= disturbance.to + LATENESS
    };
    facts.disturbances.iter().any(overlaps)
}

#[cfg(test)]
mod tests {
    use super::super::example::{accepts, finds, open, request};
    use super::*;
    use crate::facts::Connection;

    fn ask(facts: &mut Facts, at_ms: u64, connection: u64, answer: Given) {
        let request = request(at_ms, connection, "ti:x", answer);
        facts.connections.insert(connection, open(request.at, 50));
        facts.requests.push(request);
    }

    #[test]
    fn requests_too_soon_and_over_two_connections_are_found() {
        let soon = |facts: &mut Facts| facts.requests[1].at = Duration::from_millis(79);
        finds("too soon", soon, Kind::Impolite, "79ms between");
        accepts("in time, noted late", |facts| {
            facts.requests[1].at = Duration::from_millis(81);
        });
        let long = |ms: u64| {
            move |facts: &mut Facts| {
                facts.connections.insert(1, open(Duration::ZERO, ms));
            }
        };
        finds("two at once", long(221), Kind::Impolite, "while 1 was open");
        accepts("one after the other, noted late", long(219));
        let still_open = |facts: &mut Facts| {
            let connection = Connection {
                opened: Duration::ZERO,
                closed: None,
            };
            facts.connections.insert(1, connection);
        };
        finds("never closed", still_open, Kind::Impolite, "while 1 was open");
    }

    #[test]
    fn a_second_request_needs_a_lost_first_one() {
        let again = |facts: &mut Facts| ask(facts, 9_000, 3, Given::Papers);
        finds("again", again, Kind::AskedTwice, "asked for again");
        for answer in [
            Given::Nothing,
            Given::Throttled,
            Given::Broken,
            Given::Lost,
            Given::Elsewhere,
        ] {
            accepts("after one of no use", |facts| {
                facts.requests[0].answer = answer;
                again(facts);
            });
        }
        let disturbed = |from: u64, to: u64, victim: Option<usize>| {
            move |facts: &mut Facts| {
                again(facts);
                facts.requests[0].by = Some(1);
                facts.disturbances.push(Disturbance {
                    from: Duration::from_millis(from),
                    to: Duration::from_millis(to),
                    victim,
                    pauses: false,
                });
            }
        };
        accepts("a kill meanwhile", disturbed(40, 40, Some(1)));
        accepts(
            "a database away as it was to be stored",
            disturbed(900, 4_000, None),
        );
        finds(
            "a kill of another",
            disturbed(40, 40, Some(0)),
            Kind::AskedTwice,
            "asked for again",
        );
        finds(
            "a kill later",
            disturbed(4_000, 6_000, None),
            Kind::AskedTwice,
            "asked for again",
        );
        let closed_after = |ms: u64| {
            move |facts: &mut Facts| {
                facts.connections.insert(1, open(Duration::ZERO, ms));
                facts.requests[1].at = Duration::from_secs(2);
                facts.connections.insert(2, open(Duration::from_secs(2), 50));
                again(facts);
            }
        };
        accepts("one that came too late", closed_after(1_550));
        finds(
            "one that came late, and in time",
            closed_after(1_450),
            Kind::AskedTwice,
            "asked for again",
        );
        for (both_at, is_explained) in [("00:01", true), ("00:06", false)] {
            let after_midnight = |facts: &mut Facts| {
                again(facts);
                let time = format!("2024-05-06T{both_at}:00-04:00").parse().unwrap();
                (facts.requests[0].time, facts.requests[2].time) = (time, time);
            };
            if is_explained {
                accepts("one of yesterday, one of today", after_midnight);
            } else {
                finds(
                    "two of today",
                    after_midnight,
                    Kind::AskedTwice,
                    "asked for again",
                );
            }
        }
        let other_slice = |facts: &mut Facts| {
            again(facts);
            facts.requests[2].start = 2_000;
        };
        accepts("another slice", other_slice);
    }
}
