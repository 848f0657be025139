//! Those who want something of the system: people with kubectl, and clients of the API servers ([`crate::clients`]).

use std::sync::Arc;
use std::time::{Duration, Instant};

use crd::{ArxivQuery, ArxivQuerySpec};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::bed::Bed;
use crate::random::Random;
use crate::wishes::{Limits, Search, Wish, Wishes};

/// One request to Kubernetes.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// How long one thing is tried while Kubernetes is away.
pub(crate) const TRY_FOR: Duration = Duration::from_mins(2);
pub(crate) const TRY_EVERY: Duration = Duration::from_millis(250);
/// Requests of one kind at once; more are not begun.
const AT_ONCE: usize = 12;
/// Mean time between two of all wishes together.
const EVERY_MS: u64 = 150;

/// Wishes, until the time is over; the last ones are seen to their end.
pub(crate) async fn run(bed: Arc<Bed>, seed: u64, until: Instant) {
    let mut wishes = Wishes::new(seed);
    let mut pace = Random::new(seed, "pace");
    let mut open: [JoinSet<()>; 5] = Default::default();
    while Instant::now() < until {
        tokio::time::sleep(pace.millis(0, 2 * EVERY_MS)).await;
        let wish = wishes.next(bed.stack.api_servers.len());
        let open = match &wish {
            Wish::Object { .. } => &mut open[0],
            Wish::Again { .. } => &mut open[1],
            Wish::Call { .. } => &mut open[2],
            Wish::Read { .. } | Wish::ReadAll { .. } => &mut open[3],
            Wish::Write { .. } => &mut open[4],
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
            Wish::Object {
                name,
                search,
                spec,
                turns,
            } => {
                if self.create(&name, &search, spec).await.is_none() {
                    return;
                }
                let mut suspended = spec.suspend;
                for lasts in turns {
                    tokio::time::sleep(lasts).await;
                    suspended = !suspended;
                    self.suspend(&name, suspended).await;
                }
            }
            Wish::Again { name, generations } => self.again(&name, &generations).await,
            Wish::Call {
                endpoint,
                server,
                search,
                alone,
                respond_async,
            } => self.call(endpoint, server, &search, alone, respond_async).await,
            Wish::Read { server, name } => self.read(server, &name).await,
            Wish::ReadAll { server } => self.read_all(server).await,
            Wish::Write { server, number } => self.write(server, number).await,
        }
    }

    /// Makes an object, however often Kubernetes has to be asked; its uid.
    async fn create(&self, name: &str, search: &Search, limits: Limits) -> Option<String> {
        let spec = ArxivQuerySpec {
            title: Some(search.word.clone()),
            max_results: search.max_results,
            backoff_limit: limits.backoff_limit,
            active_deadline_seconds: limits.active_deadline_seconds,
            suspend: limits.suspend,
            priority: limits.priority,
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

    /// Suspends an object, or lets it go on.
    async fn suspend(&self, name: &str, suspend: bool) {
        *self
            .notes()
            .faults
            .entry(if suspend { "suspend" } else { "resume" })
            .or_default() += 1;
        self.timeline.say(&format!("fault: {name}: suspend {suspend}"));
        let patch = Patch::Merge(json!({"spec": {"suspend": suspend}}));
        let params = PatchParams::default();
        let deadline = Instant::now() + TRY_FOR;
        while Instant::now() < deadline {
            match timeout(REQUEST_LIMIT, self.queries.patch(name, &params, &patch)).await {
                Ok(Ok(_)) => return,
                _ => tokio::time::sleep(TRY_EVERY).await,
            }
        }
        self.timeline.say(&format!("{name} could not be changed"));
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
}
