//! Those who want something of the system: people with kubectl, callers of GET /arxiv and of GET /arxiv-api.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crd::{ArxivQuery, ArxivQuerySpec};
use kube::api::{DeleteParams, PostParams, Preconditions};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::bed::Bed;
use crate::facts::{Answer, Endpoint, Paper};
use crate::random::Random;

/// One request to Kubernetes.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// How long one thing is tried while Kubernetes is away.
const TRY_FOR: Duration = Duration::from_mins(2);
const TRY_EVERY: Duration = Duration::from_millis(250);
/// Requests of one kind at once; more are not begun.
const AT_ONCE: usize = 12;
/// Mean time between two of all wishes together.
const EVERY_MS: u64 = 200;

/// A search that tells its number of results by its word.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Search {
    word: String,
    max_results: i32,
}

/// What is wished for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wish {
    /// An object is made.
    Object {
        name: String,
        search: Search,
        spec: Limits,
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
}

/// The limits of an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Limits {
    backoff_limit: Option<i32>,
    active_deadline_seconds: Option<i64>,
}

/// What comes to people's minds, the same for the same seed.
struct Wishes {
    random: Random,
    searches: u64,
    names: u64,
}

impl Wishes {
    fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed, "wishes"),
            searches: 0,
            names: 0,
        }
    }

    /// A new search, or one of the last few.
    fn search(&mut self) -> Search {
        const RECENT: u64 = 20;
        let number = if self.searches > 0 && self.random.percent(60) {
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

    fn next(&mut self, servers: usize) -> Wish {
        match self.random.below(100) {
            0..55 => Wish::Object {
                name: self.name(),
                search: self.search(),
                spec: Limits {
                    backoff_limit: self
                        .random
                        .percent(20)
                        .then(|| i32::try_from(self.random.below(2)).unwrap_or(0)),
                    active_deadline_seconds: self.random.percent(3).then_some(3),
                },
            },
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
    fn query(&self) -> String {
        format!("ti:{}", self.word)
    }
}

/// Wishes, until the time is over; the last ones are seen to their end.
pub(crate) async fn run(bed: Arc<Bed>, seed: u64, until: Instant) {
    let mut wishes = Wishes::new(seed);
    let mut pace = Random::new(seed, "pace");
    let mut open: [JoinSet<()>; 3] = Default::default();
    while Instant::now() < until {
        tokio::time::sleep(pace.millis(0, 2 * EVERY_MS)).await;
        let wish = wishes.next(bed.stack.api_servers.len());
        let open = match &wish {
            Wish::Object { .. } => &mut open[0],
            Wish::Again { .. } => &mut open[1],
            Wish::Call { .. } => &mut open[2],
        };
        while open.try_join_next().is_some() {}
        if open.len() < AT_ONCE {
            let bed = Arc::clone(&bed);
            open.spawn(async move { bed.fulfil(wish).await });
        }
    }
    for open in open {
        open.join_all().await;
    }
}

impl Bed {
    async fn fulfil(&self, wish: Wish) {
        match wish {
            Wish::Object { name, search, spec } => {
                self.create(&name, &search, spec).await;
            }
            Wish::Again { name, generations } => self.again(&name, &generations).await,
            Wish::Call {
                endpoint,
                server,
                search,
                alone,
                respond_async,
            } => self.call(endpoint, server, &search, alone, respond_async).await,
        }
    }

    /// Makes an object, however often Kubernetes has to be asked; its uid.
    async fn create(&self, name: &str, search: &Search, limits: Limits) -> Option<String> {
        let spec = ArxivQuerySpec {
            title: Some(search.word.clone()),
            max_results: search.max_results,
            backoff_limit: limits.backoff_limit,
            active_deadline_seconds: limits.active_deadline_seconds,
            ..ArxivQuerySpec::default()
        };
        let object = ArxivQuery::new(name, spec);
        let deadline = Instant::now() + TRY_FOR;
        while Instant::now() < deadline {
            let params = PostParams::default();
            let created = match timeout(REQUEST_LIMIT, self.queries.create(&params, &object)).await {
                Ok(Ok(created)) => Some(created),
                // An earlier try made it.
                Ok(Err(kube::Error::Api(status))) if status.code == 409 => {
                    let found = timeout(REQUEST_LIMIT, self.queries.get_opt(name)).await;
                    found.ok().and_then(Result::ok).flatten()
                }
                _ => None,
            };
            if let Some(uid) = created.and_then(|created| created.metadata.uid) {
                self.notes().accepted.insert(uid.clone());
                return Some(uid);
            }
            tokio::time::sleep(TRY_EVERY).await;
        }
        self.timeline.say(&format!("{name} could not be created"));
        None
    }

    async fn again(&self, name: &str, generations: &[(Search, Duration)]) {
        for (generation, (search, lives)) in generations.iter().enumerate() {
            let Some(uid) = self.create(name, search, Limits::default()).await else {
                return;
            };
            if generation + 1 == generations.len() {
                return;
            }
            tokio::time::sleep(*lives).await;
            *self.notes().faults.entry("recreate").or_default() += 1;
            self.timeline
                .say(&format!("fault: {name} ({uid}) is removed and made anew"));
            if !self.remove(name, &uid).await {
                return;
            }
        }
    }

    async fn remove(&self, name: &str, uid: &str) -> bool {
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let deadline = Instant::now() + TRY_FOR;
        while Instant::now() < deadline {
            match timeout(REQUEST_LIMIT, self.queries.delete(name, &params)).await {
                Ok(Ok(_)) => return true,
                Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => return true,
                _ => tokio::time::sleep(TRY_EVERY).await,
            }
        }
        false
    }

    async fn call(
        &self,
        endpoint: Endpoint,
        server: usize,
        search: &Search,
        alone: bool,
        respond_async: bool,
    ) {
        let path = match endpoint {
            Endpoint::Search => "arxiv",
            Endpoint::Papers => "arxiv-api",
        };
        let query = format!("{path}?title={}&max_results={}", search.word, search.max_results);
        let Ok(url) = self.stack.api_servers[server].url().join(&query) else {
            return;
        };
        let mut request = self.http.get(url);
        if respond_async {
            request = request.header("prefer", "respond-async");
        }
        let mut answer = Answer {
            endpoint,
            search: search.query(),
            max_results: i64::from(search.max_results),
            alone,
            status: None,
            body: String::new(),
            name: None,
            timestamp: None,
            num_entries: None,
            papers: Vec::new(),
        };
        if let Ok(response) = request.send().await {
            let status = response.status().as_u16();
            if let Ok(body) = response.text().await {
                answer.status = Some(status);
                answer.read(&body);
            }
        }
        let status = answer.status;
        self.timeline.say(&format!("{query}: {status:?} {}", answer.body));
        self.notes().answers.push(answer);
    }
}

impl Answer {
    fn read(&mut self, body: &str) {
        const SHOWN: usize = 200;
        self.body = body.chars().take(SHOWN).collect();
        let Ok(fields) = serde_json::from_str::<BTreeMap<String, Value>>(body) else {
            return;
        };
        let number = |name| fields.get(name).and_then(Value::as_i64);
        self.timestamp = number("timestamp");
        self.num_entries = number("num_entries");
        self.name = fields.get("name").and_then(Value::as_str).map(str::to_owned);
        let papers = fields.get("data").and_then(Value::as_array).into_iter().flatten();
        self.papers = papers
            .map(|paper| Paper::of_title(paper.get("title")?.as_str()?))
            .collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_wishes_of_all_kinds_and_lone_searches_are_made_once() {
        let some = |seed| {
            let mut wishes = Wishes::new(seed);
            (0..400).map(|_| wishes.next(2)).collect::<Vec<_>>()
        };
        assert_eq!(some(1), some(1));
        assert_ne!(some(1), some(2));
        let mut alone = std::collections::BTreeSet::new();
        let mut kinds = [0, 0, 0, 0];
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
            }
        }
        assert!(kinds.iter().all(|count| *count > 10), "{kinds:?}");
    }
}
