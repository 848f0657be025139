//! The operations of users and clients. A seed always gives the same sequence.

use std::time::Duration;

use crate::history::Endpoint;
use crate::random::Random;

/// First number of clients that write rows with numbers of their own: far from those of the sequence.
const FIRST_WRITER_NUMBER: i64 = 1_000_000_000;

/// A search whose number of results follows from its word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Search {
    pub(crate) word: String,
    pub(crate) max_results: i32,
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// Creates an object.
    Create {
        name: String,
        search: Search,
        spec: Limits,
        /// It is suspended or resumed after each of these times.
        toggles: Vec<Duration>,
    },
    /// Creates objects with one name, one after the other; each but the last is deleted after its pause.
    Recreate {
        name: String,
        generations: Vec<(Search, Duration)>,
    },
    /// Calls an endpoint with a search.
    Search {
        endpoint: Endpoint,
        server: usize,
        search: Search,
        exclusive: bool,
        respond_async: bool,
    },
    /// Reads the results of an object.
    ReadResults { server: usize, name: String },
    /// Reads all results.
    ReadAll { server: usize },
    /// Takes a number from the sequence, and writes rows with a number of the client's own.
    WriteRows { server: usize, number: i64 },
}

/// The limits of an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) backoff_limit: Option<i32>,
    pub(crate) active_deadline_seconds: Option<i64>,
    pub(crate) suspend: bool,
    pub(crate) priority: i32,
}

/// Generates operations.
pub(crate) struct OpGenerator {
    random: Random,
    searches: u64,
    names: u64,
    /// Names of objects that are created once.
    unique_names: Vec<String>,
    written: i64,
}

impl OpGenerator {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed, "operations"),
            searches: 0,
            names: 0,
            unique_names: Vec::new(),
            written: 0,
        }
    }

    /// A new search, or one of the last few.
    fn search(&mut self) -> Search {
        const RECENT: u64 = 20;
        let number = if self.searches > 0 && self.random.percent(75) {
            self.searches - self.random.below(RECENT.min(self.searches))
        } else {
            self.searches += 1;
            self.searches
        };
        search("shared", number)
    }

    /// A search whose answer is probably stored by now, so that an object with it is recorded at once.
    fn stored_search(&mut self) -> Search {
        const AGO: u64 = 25;
        let number = self.searches.saturating_sub(AGO + self.random.below(AGO));
        search("shared", number.max(1))
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("op-{}", self.names)
    }

    fn unique_name(&mut self) -> String {
        let name = self.name();
        self.unique_names.push(name.clone());
        name
    }

    fn client_op(&mut self, servers: usize) -> Op {
        const RECENT: usize = 60;
        let server = self.random.index(servers);
        match self.random.below(100) {
            0..60 if !self.unique_names.is_empty() => {
                let recent = &self.unique_names[self.unique_names.len().saturating_sub(RECENT)..];
                let name = recent[self.random.index(recent.len())].clone();
                Op::ReadResults { server, name }
            }
            0..75 => Op::ReadAll { server },
            _ => {
                self.written += 1;
                Op::WriteRows {
                    server,
                    number: FIRST_WRITER_NUMBER + self.written,
                }
            }
        }
    }

    pub(crate) fn next(&mut self, servers: usize) -> Op {
        if self.random.percent(25) {
            return self.client_op(servers);
        }
        match self.random.below(100) {
            0..55 => {
                // Whether it starts suspended or not, it ends resumed.
                let toggles = if self.random.percent(15) {
                    1 + self.random.below(3)
                } else {
                    0
                };
                let spec = Limits {
                    suspend: toggles % 2 == 1,
                    priority: i32::try_from(self.random.below(5)).unwrap_or(0),
                    backoff_limit: self
                        .random
                        .percent(40)
                        .then(|| i32::try_from(self.random.below(2)).unwrap_or(0)),
                    active_deadline_seconds: self.random.percent(3).then_some(3),
                };
                Op::Create {
                    name: self.unique_name(),
                    search: self.search(),
                    spec,
                    toggles: (0..toggles).map(|_| self.random.millis(0, 4_000)).collect(),
                }
            }
            55..65 => {
                let name = self.name();
                // With a stored page an object is recorded at once, and is deleted in the middle of that.
                let at_once = self.random.percent(70);
                let longest = if at_once { 120 } else { 900 };
                let mut last = self.search();
                let count = 2 + self.random.below(3);
                let generations = (0..count).map(|_| {
                    if at_once {
                        last = self.stored_search();
                    } else if self.random.percent(50) {
                        last = self.search();
                    }
                    (last.clone(), self.random.millis(0, longest))
                });
                Op::Recreate {
                    name,
                    generations: generations.collect(),
                }
            }
            kind => {
                let endpoint = if kind < 90 {
                    Endpoint::Search
                } else {
                    Endpoint::Papers
                };
                let exclusive = endpoint == Endpoint::Search && self.random.percent(60);
                let search = if exclusive {
                    self.names += 1;
                    search("exclusive", self.names)
                } else {
                    self.search()
                };
                Op::Search {
                    endpoint,
                    server: self.random.index(servers),
                    search,
                    exclusive,
                    respond_async: self.random.percent(10),
                }
            }
        }
    }
}

fn search(kind: &str, number: u64) -> Search {
    // A few want more than arXiv returns for one request.
    let max_results = if number % 97 == 50 {
        2_003
    } else {
        1 + number * 7 % 12
    };
    Search {
        word: format!("{kind}{number}"),
        max_results: i32::try_from(max_results).unwrap_or(1),
    }
}

impl Search {
    /// The search expression sent to arXiv.
    pub(crate) fn query(&self) -> String {
        format!("ti:{}", self.word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_same_for_same_seed_and_exclusive_searches_occur_once() {
        let some = |seed| {
            let mut operations = OpGenerator::new(seed);
            (0..800).map(|_| operations.next(2)).collect::<Vec<_>>()
        };
        assert_eq!(some(1), some(1));
        assert_ne!(some(1), some(2));
        let mut exclusive = std::collections::BTreeSet::new();
        let mut counts = [0; 7];
        for op in some(1) {
            match op {
                Op::Create { .. } => counts[0] += 1,
                Op::Recreate { generations, .. } => {
                    assert!(generations.len() >= 2);
                    counts[1] += 1;
                }
                Op::Search {
                    endpoint,
                    search,
                    exclusive: is_exclusive,
                    ..
                } => {
                    counts[if endpoint == Endpoint::Search { 2 } else { 3 }] += 1;
                    assert!(!is_exclusive || exclusive.insert(search.word));
                }
                Op::ReadResults { .. } => counts[4] += 1,
                Op::ReadAll { .. } => counts[5] += 1,
                Op::WriteRows { .. } => counts[6] += 1,
            }
        }
        assert!(counts.iter().all(|count| *count > 10), "{counts:?}");
    }
}
