//! What was seen after quiet returned. Checks know nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

/// Everything that the checks look at. Times count from the run's beginning.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// `queries` and `results` are on different servers.
    pub(crate) split: bool,
    /// The least time between two requests to arXiv.
    pub(crate) interval: Duration,
    /// The objects that are there.
    pub(crate) objects: Vec<Object>,
    /// Uids of objects that were accepted and removed again.
    pub(crate) removed: BTreeSet<String>,
    /// All rows of `queries`.
    pub(crate) queries: Vec<QueryRow>,
    /// All rows of `results`, by id.
    pub(crate) results: Vec<ResultRow>,
    /// Numbers of the rows that belong to no object and were put there during the run, each with how many results it has.
    pub(crate) strangers: BTreeMap<i64, i64>,
    /// Numbers that callers were told.
    pub(crate) told_numbers: Vec<i64>,
    /// Results of one query that a client was given.
    pub(crate) reads: Vec<Read>,
    /// All results that a client was given at once.
    pub(crate) overviews: Vec<Vec<Option<Paper>>>,
    /// The stand-in's requests, in order.
    pub(crate) requests: Vec<Request>,
    /// The stand-in's connections, by number.
    pub(crate) connections: BTreeMap<u64, Connection>,
    /// What callers of the API server were told.
    pub(crate) answers: Vec<Answer>,
    /// Times in which a fetch may have been lost.
    pub(crate) disturbances: Vec<Disturbance>,
    /// Lines of panics in the logs.
    pub(crate) panics: Vec<String>,
}

/// How an object stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Neither of the two.
    #[default]
    Unfinished,
    /// Succeeded.
    Succeeded,
    /// Failed.
    Failed,
}

/// An `ArxivQuery`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object {
    pub(crate) uid: String,
    pub(crate) name: String,
    /// What arXiv is asked for.
    pub(crate) search: String,
    pub(crate) max_results: i64,
    pub(crate) fails_fast: bool,
    pub(crate) backoff_limit: usize,
    pub(crate) has_deadline: bool,
    pub(crate) phase: Phase,
    pub(crate) number: Option<i64>,
    pub(crate) timestamp: Option<i64>,
    pub(crate) http_status: Option<i64>,
    pub(crate) num_results: Option<i64>,
    pub(crate) num_entries: Option<i64>,
    pub(crate) message: String,
}

/// A row of `queries`.
#[derive(Clone, Debug, Default)]
pub(crate) struct QueryRow {
    /// None for a stranger's.
    pub(crate) uid: Option<String>,
    pub(crate) number: i64,
    pub(crate) timestamp: i64,
    pub(crate) status: i64,
    pub(crate) num_results: i64,
    pub(crate) num_entries: i64,
}

/// A row of `results`.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResultRow {
    /// None for a stranger's.
    pub(crate) uid: Option<String>,
    pub(crate) number: i64,
    pub(crate) timestamp: i64,
    /// `result_number`.
    pub(crate) place: i64,
    /// What its title tells.
    pub(crate) paper: Option<Paper>,
}

/// What a title tells of where it comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Paper {
    /// Its place among the search's papers.
    pub(crate) index: i64,
    /// The connection over which it was fetched.
    pub(crate) fetch: u64,
}

impl Paper {
    /// Reads a title of the stand-in.
    pub(crate) fn of_title(title: &str) -> Option<Self> {
        let (index, _) = title.strip_prefix("Result ")?.split_once(' ')?;
        let (_, fetch) = title.strip_suffix(')')?.rsplit_once(" (fetch ")?;
        Some(Self {
            index: index.parse().ok()?,
            fetch: fetch.parse().ok()?,
        })
    }
}

/// A request at the stand-in.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) at: Duration,
    /// The same by the wall clock.
    pub(crate) time: Timestamp,
    pub(crate) connection: u64,
    pub(crate) search: String,
    pub(crate) start: u32,
    pub(crate) answer: Given,
    /// Which service asked.
    pub(crate) by: Option<usize>,
}

/// Results of a query, as they were read while others were at work.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    /// The object's name; there was one of that name only.
    pub(crate) name: String,
    pub(crate) papers: Vec<Option<Paper>>,
}

/// How a request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    /// With the papers.
    Papers,
    /// With a feed without papers that says that there are none.
    Nothing,
    /// In a way that asks to slow down.
    Throttled,
    /// With a feed or status that is of no use.
    Broken,
    /// With a refusal of the search.
    Refused,
    /// Not at all, or too late, or half.
    Lost,
    /// With a redirect.
    Elsewhere,
}

/// A connection at the stand-in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connection {
    pub(crate) opened: Duration,
    /// None while it is open.
    pub(crate) closed: Option<Duration>,
}

/// A time in which something was done to a process or connection.
#[derive(Clone, Debug)]
pub(crate) struct Disturbance {
    pub(crate) from: Duration,
    pub(crate) to: Duration,
    /// To which service; none: to all.
    pub(crate) victim: Option<usize>,
    /// Whether a process stood still, so that its request may have been answered and it took it for late.
    pub(crate) pauses: bool,
}

/// Which endpoint was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// GET /arxiv.
    Search,
    /// GET /arxiv-api.
    Papers,
}

/// What a caller was told.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) endpoint: Endpoint,
    pub(crate) search: String,
    pub(crate) max_results: i64,
    /// No other call was made for this search, and no object by anybody else.
    pub(crate) alone: bool,
    /// None when the connection broke.
    pub(crate) status: Option<u16>,
    pub(crate) body: String,
    /// The object that a 202 names.
    pub(crate) name: Option<String>,
    pub(crate) timestamp: Option<i64>,
    pub(crate) num_entries: Option<i64>,
    /// The fetches and places of the papers in the body.
    pub(crate) papers: Vec<Option<Paper>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_tell_their_place_and_fetch() {
        let title = "Result 12 of a study on Árvíztűrő graphs & $O(n^2)$ bounds (fetch 345)";
        assert_eq!(
            Paper::of_title(title),
            Some(Paper {
                index: 12,
                fetch: 345
            })
        );
        for title in ["", "a title", "Result x of (fetch 1)", "Result 1 of a study"] {
            assert_eq!(Paper::of_title(title), None, "{title}");
        }
    }
}
