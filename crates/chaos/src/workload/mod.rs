//! The load during a run: users of kubectl, and clients of the API servers.

mod clients;
mod operations;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crd::{ArxivQuery, ArxivQuerySpec, ArxivSearch};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::harness::Harness;
use crate::random::Random;
use operations::{Limits, Op, OpGenerator, Search};

/// One request to Kubernetes.
pub(crate) const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// How long an operation is retried while Kubernetes is unavailable.
pub(crate) const RETRY_FOR: Duration = Duration::from_mins(2);
pub(crate) const RETRY_EVERY: Duration = Duration::from_millis(250);
/// The most operations of one kind at a time; further ones are skipped.
const AT_ONCE: usize = 12;
/// Mean time between two operations.
const EVERY_MS: u64 = 150;

/// Runs operations until the time is over, and waits for the last ones.
pub(crate) async fn run(harness: Arc<Harness>, seed: u64, until: Instant) {
    let mut operations = OpGenerator::new(seed);
    let mut pace = Random::new(seed, "pace");
    let mut open: [JoinSet<()>; 5] = Default::default();
    while Instant::now() < until {
        tokio::time::sleep(pace.millis(0, 2 * EVERY_MS)).await;
        let op = operations.next(harness.env.stack.api_servers.len());
        let open = match &op {
            Op::Create { .. } => &mut open[0],
            Op::Recreate { .. } => &mut open[1],
            Op::Search { .. } => &mut open[2],
            Op::ReadResults { .. } | Op::ReadAll { .. } => &mut open[3],
            Op::WriteRows { .. } => &mut open[4],
        };
        while open.try_join_next().is_some() {}
        if open.len() < AT_ONCE {
            let harness = Arc::clone(&harness);
            open.spawn(async move { harness.run_op(op).await });
        }
    }
    for open in open {
        open.join_all().await;
    }
}

impl Harness {
    async fn run_op(&self, op: Op) {
        match op {
            Op::Create {
                name,
                search,
                spec,
                toggles,
            } => {
                if self.create(&name, &search, spec).await.is_none() {
                    return;
                }
                let mut suspended = spec.suspend;
                for lasts in toggles {
                    tokio::time::sleep(lasts).await;
                    suspended = !suspended;
                    self.suspend(&name, suspended).await;
                }
            }
            Op::Recreate { name, generations } => self.recreate(&name, &generations).await,
            Op::Search {
                endpoint,
                server,
                search,
                exclusive,
                respond_async,
            } => {
                self.search(endpoint, server, &search, exclusive, respond_async)
                    .await;
            }
            Op::ReadResults { server, name } => self.read_results(server, &name).await,
            Op::ReadAll { server } => self.read_all(server).await,
            Op::WriteRows { server, number } => self.write_rows(server, number).await,
        }
    }

    /// Creates an object, with retries, and returns its uid.
    async fn create(&self, name: &str, search: &Search, limits: Limits) -> Option<String> {
        let usual = ArxivQuerySpec::default();
        let spec = ArxivQuerySpec {
            search: ArxivSearch {
                title: Some(search.word.clone()),
                ..ArxivSearch::default()
            },
            max_results: search.max_results,
            backoff_limit: limits.backoff_limit.unwrap_or(usual.backoff_limit),
            active_deadline_seconds: limits.active_deadline_seconds,
            suspend: limits.suspend,
            priority: limits.priority,
            ..usual
        };
        let object = ArxivQuery::new(name, spec);
        let deadline = Instant::now() + RETRY_FOR;
        while Instant::now() < deadline {
            let params = PostParams::default();
            let created = match timeout(REQUEST_LIMIT, self.env.queries.create(&params, &object)).await {
                Ok(Ok(created)) => Some(created),
                // An earlier attempt created it.
                Ok(Err(kube::Error::Api(status))) if status.code == 409 => {
                    let found = timeout(REQUEST_LIMIT, self.env.queries.get_opt(name)).await;
                    found.ok().and_then(Result::ok).flatten()
                }
                _ => None,
            };
            if let Some(uid) = created.and_then(|created| created.metadata.uid) {
                self.observations().accepted.insert(uid.clone());
                return Some(uid);
            }
            tokio::time::sleep(RETRY_EVERY).await;
        }
        self.timeline.log(&format!("{name} could not be created"));
        None
    }

    /// Suspends or resumes an object.
    async fn suspend(&self, name: &str, suspend: bool) {
        *self
            .observations()
            .faults
            .entry(if suspend { "suspend" } else { "resume" })
            .or_default() += 1;
        self.timeline.log(&format!("fault: {name}: suspend {suspend}"));
        let patch = Patch::Merge(json!({"spec": {"suspend": suspend}}));
        let params = PatchParams::default();
        let deadline = Instant::now() + RETRY_FOR;
        while Instant::now() < deadline {
            match timeout(REQUEST_LIMIT, self.env.queries.patch(name, &params, &patch)).await {
                Ok(Ok(_)) => return,
                // A restore of etcd has removed it.
                Ok(Err(kube::Error::Api(status))) if status.code == 404 => return,
                _ => tokio::time::sleep(RETRY_EVERY).await,
            }
        }
        self.timeline.log(&format!("{name} could not be changed"));
    }

    async fn recreate(&self, name: &str, generations: &[(Search, Duration)]) {
        for (generation, (search, lifetime)) in generations.iter().enumerate() {
            let Some(uid) = self.create(name, search, Limits::default()).await else {
                return;
            };
            if generation + 1 == generations.len() {
                return;
            }
            tokio::time::sleep(*lifetime).await;
            *self.observations().faults.entry("recreate").or_default() += 1;
            self.timeline
                .log(&format!("fault: {name} ({uid}) is deleted and created again"));
            if !self.delete(name, &uid).await {
                return;
            }
        }
    }

    async fn delete(&self, name: &str, uid: &str) -> bool {
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let deadline = Instant::now() + RETRY_FOR;
        while Instant::now() < deadline {
            match timeout(REQUEST_LIMIT, self.env.queries.delete(name, &params)).await {
                Ok(Ok(_)) => return true,
                Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => return true,
                _ => tokio::time::sleep(RETRY_EVERY).await,
            }
        }
        false
    }
}
