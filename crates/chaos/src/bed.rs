//! The system under attack, and what is noted while it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use crd::ArxivQuery;
use futures::StreamExt;
use kube::Api;
use kube::runtime::watcher::{self, Event};
use testbed::stack::{Options, Service};
use testbed::{Postgres, Stack};
use tokio::sync::RwLock;

use crate::Settings;
use crate::facts::{Answer, Disturbance, Paper, Read};
use crate::schedule::well;
use crate::timeline::Timeline;

/// Operators and API servers, as many as make failover.
const OPERATORS: usize = 2;
const API_SERVERS: usize = 2;
/// Longer than GET /arxiv waits, and than any process is paused.
const HTTP_LIMIT: Duration = Duration::from_mins(1);

/// Times that are short, so that what they lead to happens often.
const ENVIRONMENT: [(&str, &str); 6] = [
    ("ARXIV_TIMEOUT_MS", "2000"),
    ("ARXIV_WAIT_MS", "8000"),
    ("UPSTREAM_PATIENCE_MS", "5000"),
    ("RETRY_BASE_MS", "200"),
    ("COOLDOWN_BASE_MS", "200"),
    ("SWEEP_INTERVAL_SECONDS", "5"),
];

/// The running system.
pub(crate) struct Bed {
    pub(crate) stack: Stack,
    pub(crate) queries: Api<ArxivQuery>,
    pub(crate) http: reqwest::Client,
    pub(crate) timeline: Timeline,
    /// Held for writing while a process is paused, and for reading while the primary or a way to it is broken. A process
    /// that is paused with a request open cannot see that its lock is gone: the one exception that the gate has.
    pub(crate) gate: RwLock<()>,
    /// The two servers have changed places.
    pub(crate) failed_over: AtomicBool,
    notes: Mutex<Notes>,
}

/// What is noted during the run.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// Uids of all objects that were ever there.
    pub(crate) accepted: BTreeSet<String>,
    pub(crate) answers: Vec<Answer>,
    pub(crate) disturbances: Vec<Disturbance>,
    pub(crate) strangers: BTreeMap<i64, i64>,
    /// Numbers that GET /get-sequence told.
    pub(crate) told_numbers: Vec<i64>,
    /// Results of one query that a client was given.
    pub(crate) reads: Vec<Read>,
    /// All results that a client was given at once.
    pub(crate) overviews: Vec<Vec<Option<Paper>>>,
    /// Faults by their kind.
    pub(crate) faults: BTreeMap<&'static str, u64>,
    /// Services that are to be down.
    pub(crate) down: BTreeSet<usize>,
    /// How often one ended that was not to.
    pub(crate) ended_by_itself: u64,
}

impl Bed {
    pub(crate) async fn start(binaries: PathBuf, settings: &Settings, timeline: Timeline) -> Result<Self> {
        let environment = ENVIRONMENT.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let environment = [environment.as_slice(), &settings.environment].concat();
        let stack = Stack::start(Options {
            operators: OPERATORS,
            api_servers: vec!["all".into(); API_SERVERS],
            min_interval: settings.interval,
            own_control_plane: true,
            separate_results_server: settings.split,
            proxies: true,
            binaries: Some(binaries),
            environment,
            ..Options::default()
        })
        .await?;
        stack.arxiv()?.set(well());
        // Without that, what was told may be lost with the primary.
        let databases = &stack.databases;
        databases.replica.confirms_commits_of(&databases.primary).await?;
        let queries = Api::namespaced(stack.control_plane().client().await?, stack.namespace());
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(HTTP_LIMIT)
            .build()?;
        Ok(Self {
            stack,
            queries,
            http,
            timeline,
            gate: RwLock::new(()),
            failed_over: AtomicBool::new(false),
            notes: Mutex::default(),
        })
    }

    pub(crate) fn services(&self) -> Vec<&Service> {
        self.stack.services().collect()
    }

    /// The primary and its replica, as they are now.
    pub(crate) fn pair(&self) -> (&Postgres, &Postgres) {
        let databases = &self.stack.databases;
        if self.failed_over.load(Ordering::Relaxed) {
            (&databases.replica, &databases.primary)
        } else {
            (&databases.primary, &databases.replica)
        }
    }

    pub(crate) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a time, until now, in which a fetch may have been lost: by one of the services, or by any.
    pub(crate) fn disturbed(&self, from: Duration, victim: Option<usize>, pauses: bool) {
        let to = self.timeline.now();
        self.notes().disturbances.push(Disturbance {
            from,
            to,
            victim,
            pauses,
        });
    }

    /// Notes every object that is ever there, until it is dropped.
    pub(crate) async fn watch(&self) {
        let events = watcher::watcher(self.queries.clone(), watcher::Config::default());
        let mut events = std::pin::pin!(events);
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(object) | Event::InitApply(object) | Event::Delete(object)) => {
                    self.notes().accepted.extend(object.metadata.uid);
                }
                Ok(Event::Init | Event::InitDone) => {}
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    }

    /// Starts again what ends without being told to, as the kubelet does, until it is dropped.
    pub(crate) async fn supervise(&self) {
        const LOOK_EVERY: Duration = Duration::from_millis(100);
        const START_AT_MOST_EVERY: Duration = Duration::from_secs(1);
        let mut started: BTreeMap<usize, Instant> = BTreeMap::new();
        loop {
            for (index, service) in self.services().into_iter().enumerate() {
                let recently = started
                    .get(&index)
                    .is_some_and(|at| at.elapsed() < START_AT_MOST_EVERY);
                if recently || self.notes().down.contains(&index) {
                    continue;
                }
                if let Some(status) = service.child().ended() {
                    // A kill may have come between the two looks.
                    if self.notes().down.contains(&index) {
                        continue;
                    }
                    self.notes().ended_by_itself += 1;
                    started.insert(index, Instant::now());
                    let again = service.child().start_again();
                    let name = service.name();
                    self.timeline.say(&format!(
                        "{name} ended by itself: {status}; started again: {again:?}"
                    ));
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
