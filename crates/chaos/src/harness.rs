//! The system under test, and what is recorded while faults happen.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use crd::{ArxivQuery, FEED_LABEL};
use futures::StreamExt;
use kube::runtime::watcher::{self, Event};
use testbed::arxiv::Behaviour;
use testbed::stack::{Options, Service};
use testbed::{Postgres, TestEnv};
use tokio::sync::{Notify, RwLock};

use crate::Settings;
use crate::collect::outcome;
use crate::feeds::FeedRun;
use crate::history::{ApiResponse, Disturbance, Outcome, Paper, Read};
use crate::timeline::Timeline;

/// Enough operators and API servers for one to take over from another.
const OPERATORS: usize = 2;
const API_SERVERS: usize = 2;
/// Short timeouts, so that their consequences occur often.
const ENVIRONMENT: [(&str, &str); 7] = [
    ("ARXIV_TIMEOUT_MS", "2000"),
    ("ARXIV_WAIT_MS", "8000"),
    ("UPSTREAM_PATIENCE_MS", "5000"),
    ("RETRY_BASE_MS", "200"),
    ("COOLDOWN_BASE_MS", "200"),
    ("SWEEP_INTERVAL_SECONDS", "5"),
    // The receiver of webhooks is on loopback.
    ("WEBHOOK_NETWORKS", "127.0.0.0/8"),
];

/// The running system and the record of its run.
pub(crate) struct Harness {
    pub(crate) env: TestEnv,
    pub(crate) timeline: Timeline,
    /// Held for writing while a process is paused, and for reading while the primary or a connection to it is broken. A process
    /// that is paused during its request cannot notice that its lock is lost: the only exception to the gate's guarantee.
    pub(crate) gate: RwLock<()>,
    /// The primary and the replica have changed roles.
    pub(crate) failed_over: AtomicBool,
    /// etcd was restored.
    pub(crate) restored: Notify,
    observations: Mutex<Observations>,
}

/// What is recorded during the run.
#[derive(Debug, Default)]
pub(crate) struct Observations {
    /// Uids of all objects that ever existed.
    pub(crate) accepted: BTreeSet<String>,
    pub(crate) answers: Vec<ApiResponse>,
    pub(crate) disturbances: Vec<Disturbance>,
    /// The ends of restores of etcd.
    pub(crate) restores: Vec<Duration>,
    /// How objects were seen to have ended, by uid. Each differs from the others of its object.
    pub(crate) ends: BTreeMap<String, Vec<Outcome>>,
    /// Uids of objects that had ended, and had not ended any more after a restore.
    pub(crate) undone: BTreeSet<String>,
    pub(crate) foreign_rows: BTreeMap<i64, i64>,
    /// Numbers that GET /get-sequence returned.
    pub(crate) issued_numbers: Vec<i64>,
    /// Results of one query, as a client read them.
    pub(crate) reads: Vec<Read>,
    /// All results, as a client read them in one response.
    pub(crate) full_reads: Vec<Vec<Option<Paper>>>,
    /// The objects that are runs of feeds, by uid.
    pub(crate) runs: BTreeMap<String, FeedRun>,
    /// Faults by their kind.
    pub(crate) faults: BTreeMap<&'static str, u64>,
    /// Services that are down on purpose.
    pub(crate) down: BTreeSet<usize>,
    /// How often a service ended that was not stopped on purpose.
    pub(crate) ended_by_itself: u64,
}

impl Harness {
    pub(crate) async fn start(binaries: PathBuf, settings: &Settings, timeline: Timeline) -> Result<Self> {
        let environment = ENVIRONMENT.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let environment = [environment.as_slice(), &settings.environment].concat();
        let env = TestEnv::try_start(Options {
            operators: OPERATORS,
            api_servers: vec!["all".into(); API_SERVERS],
            min_interval: settings.min_interval,
            own_control_plane: true,
            separate_results_server: settings.split,
            proxies: true,
            credential_files: true,
            binaries: Some(binaries),
            environment,
            ..Options::default()
        })
        .await?;
        env.stack.arxiv()?.set(healthy_arxiv());
        // Otherwise a fail-over may lose what was confirmed.
        let databases = &env.stack.databases;
        databases.replica.confirm_commits_of(&databases.primary).await?;
        Ok(Self {
            env,
            timeline,
            gate: RwLock::new(()),
            failed_over: AtomicBool::new(false),
            restored: Notify::new(),
            observations: Mutex::default(),
        })
    }

    pub(crate) fn services(&self) -> Vec<&Service> {
        self.env.stack.services().collect()
    }

    /// The current primary and its replica.
    pub(crate) fn pair(&self) -> (&Postgres, &Postgres) {
        let databases = &self.env.stack.databases;
        if self.failed_over.load(Ordering::Relaxed) {
            (&databases.replica, &databases.primary)
        } else {
            (&databases.primary, &databases.replica)
        }
    }

    /// The server with `results` and all of feeds.
    pub(crate) fn results(&self) -> &Postgres {
        let (primary, _) = self.pair();
        self.env.stack.databases.results.as_ref().unwrap_or(primary)
    }

    pub(crate) fn observations(&self) -> MutexGuard<'_, Observations> {
        self.observations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a period, until now, in which a fetch of this service (or of any) may have been lost.
    pub(crate) fn disturbed(&self, from: Duration, victim: Option<usize>, pauses: bool) {
        let to = self.timeline.now();
        self.observations().disturbances.push(Disturbance {
            from,
            to,
            victim,
            pauses,
        });
    }

    /// Records that an object was seen, and how it has ended.
    pub(crate) fn saw(&self, object: &ArxivQuery) {
        let Some(uid) = object.metadata.uid.clone() else {
            return;
        };
        let mut observations = self.observations();
        if object.phase().is_final() {
            let outcome = outcome(object);
            let ends = observations.ends.entry(uid.clone()).or_default();
            if !ends.contains(&outcome) {
                ends.push(outcome);
            }
        } else if observations.ends.contains_key(&uid) {
            observations.undone.insert(uid.clone());
        }
        let labels = object.metadata.labels.as_ref();
        if let Some(feed) = labels.and_then(|labels| labels.get(FEED_LABEL)) {
            observations.runs.insert(uid.clone(), FeedRun::new(feed, object));
        }
        observations.accepted.insert(uid);
    }

    /// Records every object, until this future is dropped.
    pub(crate) async fn watch(&self) {
        let begin = || {
            Box::pin(watcher::watcher(
                self.env.queries.clone(),
                watcher::Config::default(),
            ))
        };
        let mut events = begin();
        loop {
            let event = tokio::select! {
                // It would miss what happens until the restored database has reached its version.
                () = self.restored.notified() => {
                    events = begin();
                    continue;
                }
                event = events.next() => match event {
                    Some(event) => event,
                    None => return,
                },
            };
            match event {
                Ok(Event::Apply(object) | Event::InitApply(object) | Event::Delete(object)) => {
                    self.saw(&object);
                }
                Ok(Event::Init | Event::InitDone) => {}
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    }

    /// Restarts services that end by themselves, as the kubelet does, until this future is dropped.
    pub(crate) async fn supervise(&self) {
        const CHECK_EVERY: Duration = Duration::from_millis(100);
        const START_AT_MOST_EVERY: Duration = Duration::from_secs(1);
        let mut started: BTreeMap<usize, Instant> = BTreeMap::new();
        loop {
            for (index, service) in self.services().into_iter().enumerate() {
                let recently = started
                    .get(&index)
                    .is_some_and(|at| at.elapsed() < START_AT_MOST_EVERY);
                if recently || self.observations().down.contains(&index) {
                    continue;
                }
                if let Some(status) = service.child().ended() {
                    // A kill may have come between the two checks.
                    if self.observations().down.contains(&index) {
                        continue;
                    }
                    self.observations().ended_by_itself += 1;
                    started.insert(index, Instant::now());
                    let again = service.child().start_again();
                    let name = service.name();
                    self.timeline.log(&format!(
                        "{name} ended by itself: {status}; started again: {again:?}"
                    ));
                }
            }
            tokio::time::sleep(CHECK_EVERY).await;
        }
    }
}

/// arXiv's answers without a fault. The titles name the fetch that the papers come from.
pub(crate) fn healthy_arxiv() -> Behaviour {
    Behaviour {
        total: Some(5_000),
        numbered: true,
        ..Behaviour::default()
    }
}
