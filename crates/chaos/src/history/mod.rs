//! The history of a run: everything that the checks know.

mod feeds;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

pub(crate) use feeds::{Attempt, Delivery, Feed, FeedRead, Item, VersionName};

/// Everything that the checks need. Times count from the start of the run.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// `queries` and `results` are on different servers.
    pub(crate) split: bool,
    /// The least time between two requests to arXiv.
    pub(crate) min_interval: Duration,
    /// The objects that exist at the end.
    pub(crate) objects: Vec<Object>,
    /// Uids of all objects that were ever accepted.
    pub(crate) accepted: BTreeSet<String>,
    /// All rows of `queries`.
    pub(crate) queries: Vec<QueryRow>,
    /// Uids of the objects that have a tombstone.
    pub(crate) tombstones: BTreeSet<String>,
    /// All rows of `results`, by id.
    pub(crate) results: Vec<ResultRow>,
    /// Versions of papers that only one of `results` and `arxiv_papers` has.
    pub(crate) half_papers: Vec<HalfPaper>,
    /// Numbers of the foreign rows (which belong to no object) that were inserted during the run, each with its count of results.
    pub(crate) foreign_rows: BTreeMap<i64, i64>,
    /// Numbers that GET /get-sequence returned.
    pub(crate) issued_numbers: Vec<i64>,
    /// Results of one query, as a client read them.
    pub(crate) reads: Vec<Read>,
    /// All results, as a client read them in one response.
    pub(crate) full_reads: Vec<Vec<Option<Paper>>>,
    /// The fake arXiv's requests, in order.
    pub(crate) requests: Vec<Request>,
    /// The fake arXiv's connections, by number.
    pub(crate) connections: BTreeMap<u64, Connection>,
    /// Responses of the API server.
    pub(crate) answers: Vec<ApiResponse>,
    /// Periods in which a fetch may have been lost.
    pub(crate) disturbances: Vec<Disturbance>,
    /// The ends of restores of etcd, each to a state from less than [`RESTORED_FROM`] before.
    pub(crate) restores: Vec<Duration>,
    /// How objects were seen to have ended, by uid. Each differs from the others of its object.
    pub(crate) ends: BTreeMap<String, Vec<Outcome>>,
    /// Uids of objects that had ended, and had not ended any more after a restore.
    pub(crate) undone: BTreeSet<String>,
    /// Lines of panics in the logs.
    pub(crate) panics: Vec<String>,
    /// The feeds that the database knows.
    pub(crate) feeds: Vec<Feed>,
    /// How many feeds exist at the end.
    pub(crate) present_feeds: usize,
    /// Whether, at the end, all that exist were complete and nothing waited for being delivered.
    pub(crate) feeds_are_settled: bool,
    /// Items of feeds, as clients read them.
    pub(crate) feed_reads: Vec<FeedRead>,
    /// What the receiver of webhooks got, in order.
    pub(crate) attempts: Vec<Attempt>,
    /// How many runs the feed with this search ever had.
    pub(crate) feed_runs: BTreeMap<String, usize>,
    /// The last day of the archive in which feeds search.
    pub(crate) day: u32,
}

/// The longest time from a request to the end of a restore that may have removed its object, or brought back one that was
/// removed because its caller got an error.
pub(crate) const RESTORED_FROM: Duration = Duration::from_mins(1);

impl History {
    /// Whether a restore of etcd may have removed what this request made, or brought it back. Rows are never removed: what a client
    /// got is still in the database.
    pub(crate) fn is_before_restore(&self, answer: &ApiResponse) -> bool {
        let mut restores = self.restores.iter();
        restores.any(|at| answer.began <= *at && *at <= answer.began + RESTORED_FROM)
    }
}

impl History {
    /// How many runs there were of the feed that sends this search, if it is one of a feed.
    pub(crate) fn runs_of(&self, search: &str) -> Option<usize> {
        let mut of_feeds = self.feed_runs.iter();
        let found = of_feeds.find(|(of_feed, _)| search.contains(of_feed.as_str()));
        found.map(|(_, runs)| *runs)
    }
}

/// The phase of an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Any other phase.
    #[default]
    Unfinished,
    /// Succeeded.
    Succeeded,
    /// Failed.
    Failed,
}

/// What the status of an object says about its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) phase: Phase,
    pub(crate) number: Option<i64>,
    pub(crate) timestamp: Option<i64>,
    pub(crate) http_status: Option<i64>,
    pub(crate) num_results: Option<i64>,
    pub(crate) num_entries: Option<i64>,
}

/// An `ArxivQuery`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object {
    pub(crate) uid: String,
    pub(crate) name: String,
    /// The search expression sent to arXiv; of a run of a feed, a part of it.
    pub(crate) search: String,
    /// Whether it is a run of a feed.
    pub(crate) is_run: bool,
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

impl Object {
    /// Whether a request to arXiv may have been sent for it.
    pub(crate) fn sent(&self, request: &Request) -> bool {
        if self.is_run {
            request.search.contains(&self.search)
        } else {
            request.search == self.search
        }
    }
}

/// A row of `queries`.
#[derive(Clone, Debug, Default)]
pub(crate) struct QueryRow {
    /// None for a foreign row.
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
    /// None for a foreign row.
    pub(crate) uid: Option<String>,
    pub(crate) number: i64,
    pub(crate) timestamp: i64,
    /// `result_number`.
    pub(crate) position: i64,
    /// What its title says.
    pub(crate) paper: Option<Paper>,
}

/// A version of a paper that is stored only in one of the two tables that are written together.
#[derive(Clone, Debug, Default)]
pub(crate) struct HalfPaper {
    /// arXiv's identifier.
    pub(crate) id: String,
    /// Whether it is a result; else it is in `arxiv_papers`.
    pub(crate) is_result: bool,
}

/// The origin of a paper, as its title names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Paper {
    /// Its position among the papers of the search.
    pub(crate) index: i64,
    /// The connection over which it was fetched.
    pub(crate) fetch: u64,
}

impl Paper {
    /// Parses a title of the fake arXiv.
    pub(crate) fn of_title(title: &str) -> Option<Self> {
        let (index, _) = title.strip_prefix("Result ")?.split_once(' ')?;
        let (_, fetch) = title.strip_suffix(')')?.rsplit_once(" (fetch ")?;
        Some(Self {
            index: index.parse().ok()?,
            fetch: fetch.parse().ok()?,
        })
    }
}

/// A request that the fake arXiv received.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) at: Duration,
    /// The same by the wall clock.
    pub(crate) time: Timestamp,
    pub(crate) connection: u64,
    pub(crate) search: String,
    pub(crate) start: u32,
    pub(crate) max_results: u32,
    pub(crate) answer: ArxivAnswer,
    /// The service that sent it.
    pub(crate) by: Option<usize>,
}

/// Results of a query, as a client read them during the run.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    /// The object's name, which no other object had.
    pub(crate) name: String,
    pub(crate) papers: Vec<Option<Paper>>,
}

/// How arXiv answered a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArxivAnswer {
    /// With the papers.
    Papers,
    /// With a feed that says that there are no papers.
    Empty,
    /// With a request to slow down.
    Throttled,
    /// With a useless feed or status.
    Broken,
    /// With a refusal of the search.
    Refused,
    /// Not at all, too late, or incompletely.
    Unanswered,
    /// With a redirect.
    Redirected,
}

/// A connection to the fake arXiv.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connection {
    pub(crate) opened: Duration,
    /// None while it is open.
    pub(crate) closed: Option<Duration>,
}

/// A period in which a fault affected a process or connection.
#[derive(Clone, Debug)]
pub(crate) struct Disturbance {
    pub(crate) from: Duration,
    pub(crate) to: Duration,
    /// The affected service; none means all.
    pub(crate) victim: Option<usize>,
    /// Whether a process was paused: it may take a response that arrived meanwhile for late.
    pub(crate) pauses: bool,
}

/// The endpoint of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// GET /arxiv.
    Search,
    /// GET /arxiv-api.
    Papers,
}

/// A response of the API server.
#[derive(Clone, Debug)]
pub(crate) struct ApiResponse {
    /// When the request was sent.
    pub(crate) began: Duration,
    pub(crate) endpoint: Endpoint,
    pub(crate) search: String,
    pub(crate) max_results: i64,
    /// No other call or object had this search.
    pub(crate) exclusive: bool,
    /// None when the connection broke.
    pub(crate) status: Option<u16>,
    pub(crate) body: String,
    /// The object that a 202 names.
    pub(crate) name: Option<String>,
    pub(crate) timestamp: Option<i64>,
    pub(crate) num_entries: Option<i64>,
    /// The origins of the papers in the body.
    pub(crate) papers: Vec<Option<Paper>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn title_names_index_and_fetch() {
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
