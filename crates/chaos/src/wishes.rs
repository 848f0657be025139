//! What comes to people's minds, the same for the same seed.

use std::time::Duration;

use crate::facts::Endpoint;
use crate::random::Random;

/// Numbers of writers that bring their own begin here: far from the sequence's.
const OWN_NUMBERS: i64 = 1_000_000_000;

/// A search that tells its number of results by its word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Search {
    pub(crate) word: String,
    pub(crate) max_results: i32,
}

/// What is wished for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// An object is made.
    Object {
        name: String,
        search: Search,
        spec: Limits,
        /// It is suspended, or resumed, after each of these.
        turns: Vec<Duration>,
    },
    /// Objects are made under one name, each removed after the pause, but for the last.
    Again {
        name: String,
        generations: Vec<(Search, Duration)>,
    },
    /// An endpoint is asked.
    Call {
        endpoint: Endpoint,
        server: usize,
        search: Search,
        alone: bool,
        respond_async: bool,
    },
    /// The results of an object are read.
    Read { server: usize, name: String },
    /// Everything is read.
    ReadAll { server: usize },
    /// A number is taken, and rows are written under one of the writer's own.
    Write { server: usize, number: i64 },
}

/// The limits of an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) backoff_limit: Option<i32>,
    pub(crate) active_deadline_seconds: Option<i64>,
    pub(crate) suspend: bool,
    pub(crate) priority: i32,
}

/// What comes to people's minds, the same for the same seed.
pub(crate) struct Wishes {
    random: Random,
    searches: u64,
    names: u64,
    /// Names that only one object has.
    once: Vec<String>,
    written: i64,
}

impl Wishes {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed, "wishes"),
            searches: 0,
            names: 0,
            once: Vec::new(),
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
        format!("wish-{}", self.names)
    }

    fn name_for_once(&mut self) -> String {
        let name = self.name();
        self.once.push(name.clone());
        name
    }

    fn of_client(&mut self, servers: usize) -> Wish {
        const RECENT: usize = 60;
        let server = self.random.index(servers);
        match self.random.below(100) {
            0..60 if !self.once.is_empty() => {
                let recent = &self.once[self.once.len().saturating_sub(RECENT)..];
                let name = recent[self.random.index(recent.len())].clone();
                Wish::Read { server, name }
            }
            0..75 => Wish::ReadAll { server },
            _ => {
                self.written += 1;
                Wish::Write {
                    server,
                    number: OWN_NUMBERS + self.written,
                }
            }
        }
    }

    pub(crate) fn next(&mut self, servers: usize) -> Wish {
        if self.random.percent(25) {
            return self.of_client(servers);
        }
        match self.random.below(100) {
            0..55 => {
                // Begun suspended or not, at its end it goes on.
                let turns = if self.random.percent(15) {
                    1 + self.random.below(3)
                } else {
                    0
                };
                let spec = Limits {
                    suspend: turns % 2 == 1,
                    priority: i32::try_from(self.random.below(5)).unwrap_or(0),
                    backoff_limit: self
                        .random
                        .percent(20)
                        .then(|| i32::try_from(self.random.below(2)).unwrap_or(0)),
                    active_deadline_seconds: self.random.percent(3).then_some(3),
                };
                Wish::Object {
                    name: self.name_for_once(),
                    search: self.search(),
                    spec,
                    turns: (0..turns).map(|_| self.random.millis(0, 4_000)).collect(),
                }
            }
            55..65 => {
                let name = self.name();
                // Those that are recorded at once are removed in the middle of that.
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
                Wish::Again {
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
                let alone = endpoint == Endpoint::Search && self.random.percent(60);
                let search = if alone {
                    self.names += 1;
                    search("alone", self.names)
                } else {
                    self.search()
                };
                Wish::Call {
                    endpoint,
                    server: self.random.index(servers),
                    search,
                    alone,
                    respond_async: self.random.percent(10),
                }
            }
        }
    }
}

fn search(kind: &str, number: u64) -> Search {
    // A few are more than arXiv gives at once.
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
    /// What arXiv is asked for.
    pub(crate) fn query(&self) -> String {
        format!("ti:{}", self.word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_wishes_of_all_kinds_and_lone_searches_are_made_once() {
        let some = |seed| {
            let mut wishes = Wishes::new(seed);
            (0..800).map(|_| wishes.next(2)).collect::<Vec<_>>()
        };
        assert_eq!(some(1), some(1));
        assert_ne!(some(1), some(2));
        let mut alone = std::collections::BTreeSet::new();
        let mut kinds = [0; 7];
        for wish in some(1) {
            match wish {
                Wish::Object { .. } => kinds[0] += 1,
                Wish::Again { generations, .. } => {
                    assert!(generations.len() >= 2);
                    kinds[1] += 1;
                }
                Wish::Call {
                    endpoint,
                    search,
                    alone: is_alone,
                    ..
                } => {
                    kinds[if endpoint == Endpoint::Search { 2 } else { 3 }] += 1;
                    assert!(!is_alone || alone.insert(search.word));
                }
                Wish::Read { .. } => kinds[4] += 1,
                Wish::ReadAll { .. } => kinds[5] += 1,
                Wish::Write { .. } => kinds[6] += 1,
            }
        }
        assert!(kinds.iter().all(|count| *count > 10), "{kinds:?}");
    }
}
