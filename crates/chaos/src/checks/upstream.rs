//! Requests to arXiv kept the interval, used one connection at a time, and none was for something already answered.

use std::collections::BTreeMap;
use std::time::Duration;

use arxiv::arxiv_day;

use super::{Findings, Kind};
use crate::history::{ArxivAnswer, Disturbance, History, Request};

/// How late the fake arXiv may record an event: on a busy machine its thread does not run at once.
const LATENESS: Duration = Duration::from_millis(20);
/// The longest that a process waits for a response with the harness's settings, plus some time for ending the request.
pub(crate) const LONGEST_REQUEST: Duration = Duration::from_secs(4);
/// A process gives up a request after 2 s (a setting of the harness), and the fake arXiv may record the start of the connection
/// late. On a busy machine that happens without any fault.
const GIVEN_UP: Duration = Duration::from_millis(1_500);
/// On a busy machine a process takes as long as it waits to parse so many papers, while the fake arXiv has sent them all.
const LONG_PAGE: u32 = 1_000;
/// A response is read and stored within this time after its connection is closed, unless a fault prevents it.
const STORED_WITHIN: Duration = Duration::from_secs(3);
/// No query sends a request later than this after it started. Its pages belong to arXiv's day on which it started.
const LONGEST_WAIT: Duration = Duration::from_mins(5);

pub(super) fn check(history: &History, findings: &mut Findings) {
    spacing(history, findings);
    connections(history, findings);
    // A run of a feed asks arXiv itself, and each run asks for the same.
    let mut by_runs: BTreeMap<(&str, u32), usize> = BTreeMap::new();
    for (first, again) in asked_again(history) {
        if is_lost(history, first, again) {
            continue;
        }
        if let Some(runs) = history.runs_of(&first.search) {
            let repeated = by_runs.entry((&first.search, first.start)).or_default();
            *repeated += 1;
            if *repeated < runs {
                continue;
            }
        }
        let text = format!(
            "{} from {} was answered at {:?} (connection {}) and asked for again at {:?} (connection {})",
            first.search, first.start, first.at, first.connection, again.at, again.connection
        );
        findings.add(Kind::AskedTwice, text);
    }
}

/// How many requests repeated an earlier one, by the reason why the earlier one was of no use. The sum of these and of the
/// distinct searches is the number of requests.
pub(crate) fn asked_again_after(history: &History) -> BTreeMap<&'static str, usize> {
    let mut after = BTreeMap::new();
    for (first, _) in asked_again(history) {
        let why = match first.answer {
            ArxivAnswer::Papers if is_given_up(history, first) => "late",
            ArxivAnswer::Papers if history.runs_of(&first.search).is_some() => "another run",
            ArxivAnswer::Papers => "disturbed",
            ArxivAnswer::Empty => "nothing",
            ArxivAnswer::Throttled => "throttled",
            ArxivAnswer::Broken => "broken",
            ArxivAnswer::Refused => "refused",
            ArxivAnswer::Unanswered => "unanswered",
            ArxivAnswer::Redirected => "redirected",
        };
        *after.entry(why).or_default() += 1;
    }
    after
}

fn spacing(history: &History, findings: &mut Findings) {
    for pair in history.requests.windows(2) {
        let between = pair[1].at.saturating_sub(pair[0].at);
        if between + LATENESS < history.min_interval {
            let text = format!(
                "connections {} and {}: {between:?} between two requests, at {:?}",
                pair[0].connection, pair[1].connection, pair[1].at
            );
            findings.add(Kind::Impolite, text);
        }
    }
}

fn connections(history: &History, findings: &mut Findings) {
    let all: Vec<_> = history.connections.iter().collect();
    for (index, (number, connection)) in all.iter().enumerate() {
        // Numbers are in the order of opening.
        for (other, later) in &all[index + 1..] {
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

/// Each request with the next one for the same page.
fn asked_again(history: &History) -> impl Iterator<Item = (&Request, &Request)> {
    history.requests.iter().enumerate().filter_map(|(index, first)| {
        let mut later = history.requests[index + 1..].iter();
        let again = later.find(|later| later.search == first.search && later.start == first.start)?;
        Some((first, again))
    })
}

/// Whether its connection was closed so late that the process no longer waited for the response, or the response is so long that
/// it may have been given up after that.
pub(super) fn is_given_up(history: &History, request: &Request) -> bool {
    if request.max_results > LONG_PAGE {
        return true;
    }
    let connection = history.connections.get(&request.connection);
    connection.is_some_and(|connection| {
        let closed = connection.closed;
        closed.is_none_or(|closed| closed.saturating_sub(connection.opened) >= GIVEN_UP)
    })
}

/// Whether the first response was of no use, may belong to another day than the second, or a fault may have prevented storing
/// it.
fn is_lost(history: &History, first: &Request, again: &Request) -> bool {
    let may_be_of = |first: &Request| arxiv_day(first.time - LONGEST_WAIT);
    if first.answer != ArxivAnswer::Papers
        || is_given_up(history, first)
        || may_be_of(first) != arxiv_day(again.time)
    {
        return true;
    }
    let closed = history
        .connections
        .get(&first.connection)
        .and_then(|connection| connection.closed);
    let until = closed.map_or(again.at, |closed| (closed + STORED_WITHIN).min(again.at));
    let overlaps = |disturbance: &Disturbance| {
        let affected = disturbance.victim.is_none() || disturbance.victim == first.by;
        affected && disturbance.from <= until && first.at <= disturbance.to + LATENESS
    };
    history.disturbances.iter().any(overlaps)
}

#[cfg(test)]
mod tests {
    use super::super::example::{accepts, finds, open, request};
    use super::*;
    use crate::history::Connection;

    fn ask(history: &mut History, at_ms: u64, connection: u64, answer: ArxivAnswer) {
        let request = request(at_ms, connection, "ti:x", answer);
        history.connections.insert(connection, open(request.at, 50));
        history.requests.push(request);
    }

    #[test]
    fn early_request_and_second_connection_are_violations() {
        let soon = |history: &mut History| history.requests[1].at = Duration::from_millis(79);
        finds("too soon", soon, Kind::Impolite, "79ms between");
        accepts("in time, recorded late", |history| {
            history.requests[1].at = Duration::from_millis(81);
        });
        let long = |ms: u64| {
            move |history: &mut History| {
                history.connections.insert(1, open(Duration::ZERO, ms));
            }
        };
        finds("two at once", long(221), Kind::Impolite, "while 1 was open");
        accepts("one after the other, recorded late", long(219));
        let still_open = |history: &mut History| {
            let connection = Connection {
                opened: Duration::ZERO,
                closed: None,
            };
            history.connections.insert(1, connection);
        };
        finds("never closed", still_open, Kind::Impolite, "while 1 was open");
    }

    #[test]
    fn repeated_request_is_violation_unless_first_was_lost() {
        let again = |history: &mut History| ask(history, 9_000, 3, ArxivAnswer::Papers);
        finds("again", again, Kind::AskedTwice, "asked for again");
        for answer in [
            ArxivAnswer::Empty,
            ArxivAnswer::Throttled,
            ArxivAnswer::Broken,
            ArxivAnswer::Unanswered,
            ArxivAnswer::Redirected,
        ] {
            accepts("after one of no use", |history| {
                history.requests[0].answer = answer;
                again(history);
            });
        }
        let disturbed = |from: u64, to: u64, victim: Option<usize>| {
            move |history: &mut History| {
                again(history);
                history.requests[0].by = Some(1);
                history.disturbances.push(Disturbance {
                    from: Duration::from_millis(from),
                    to: Duration::from_millis(to),
                    victim,
                    pauses: false,
                });
            }
        };
        accepts("a kill meanwhile", disturbed(40, 40, Some(1)));
        accepts(
            "the database was unavailable when it was to be stored",
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
            move |history: &mut History| {
                history.connections.insert(1, open(Duration::ZERO, ms));
                history.requests[1].at = Duration::from_secs(2);
                history.connections.insert(2, open(Duration::from_secs(2), 50));
                again(history);
            }
        };
        accepts("a late response", closed_after(1_550));
        finds(
            "a slow response, in time",
            closed_after(1_450),
            Kind::AskedTwice,
            "asked for again",
        );
        for (both_at, is_explained) in [("00:01", true), ("00:06", false)] {
            let after_midnight = |history: &mut History| {
                again(history);
                let time = format!("2024-05-06T{both_at}:00-04:00").parse().unwrap();
                (history.requests[0].time, history.requests[2].time) = (time, time);
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
        accepts("a long page", |history| {
            again(history);
            history.requests[0].max_results = 2_000;
        });
        let runs = |runs| {
            move |history: &mut History| {
                again(history);
                history.feed_runs.insert("ti:x".into(), runs);
            }
        };
        accepts("another run of a feed", runs(2));
        finds(
            "the same run of a feed",
            runs(1),
            Kind::AskedTwice,
            "asked for again",
        );
        let other_slice = |history: &mut History| {
            again(history);
            history.requests[2].start = 2_000;
        };
        accepts("another slice", other_slice);
    }
}
