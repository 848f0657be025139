//! A term: the work of a process while it leads. Everything in it is begun anew with each term and holds nothing that must
//! outlive it; what must is in Kubernetes and in the databases.

use std::{sync::Arc, time::Duration};

use crd::ArxivQuery;
use kube::{Api, Client};
use service::health::Liveness;
use storage::{Ledger, Pages, Records};
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::sync::CancellationToken;
use upstream::Upstream;

use crate::{
    controller::{
        self,
        context::{Context, ROOM},
        events::events,
        watch,
    },
    fetch::{fetcher::Fetcher, tracker::Tracker},
    maintenance::{sweep::Sweeper, watermark},
    process::{backoff::Backoff, metrics::Metrics, supervisor::Tasks},
};

/// The fetcher finishes the request that is under way, which takes up to `ARXIV_TIMEOUT_MS` (20 s by default).
const FINISH_REQUEST: Duration = Duration::from_secs(21);
/// All of the end: below the 30 s that Kubernetes gives a pod.
const FINISH: Duration = Duration::from_secs(25);
/// What is put down takes no longer: a connection is closed, a turn given back.
const PUT_DOWN: Duration = Duration::from_secs(2);

/// A loop that has not come round for so long is stuck. The fetcher's longest round is a page that takes four requests,
/// each of which waits for its turn.
const FETCHER_PATIENCE: Duration = Duration::from_mins(10);
const CONTROLLER_PATIENCE: Duration = Duration::from_mins(1);
/// A round is one operation on a database, which is bounded.
const SETTLER_PATIENCE: Duration = Duration::from_mins(2);

/// What terms are made of.
pub(crate) struct Parts {
    pub(crate) client: Client,
    /// All objects that this process is for.
    pub(crate) all: Api<ArxivQuery>,
    pub(crate) records: Records,
    pub(crate) ledger: Ledger,
    pub(crate) pages: Pages,
    pub(crate) upstream: Upstream,
    pub(crate) metrics: Metrics,
    pub(crate) liveness: Liveness,
    pub(crate) retries: Backoff,
    /// Between two requests to arXiv.
    pub(crate) interval: Duration,
    pub(crate) concurrency: u16,
    pub(crate) sweep_interval: Duration,
}

/// The work that is going on.
pub(crate) struct Term {
    tasks: Tasks,
    context: Arc<Context>,
    stop_controller: CancellationToken,
    stop_events: CancellationToken,
}

impl Term {
    /// Begins to work. With `asked_to_end` nothing new is fetched or swept; then [`Self::finish`].
    pub(crate) fn begin(parts: &Parts, asked_to_end: &CancellationToken) -> Self {
        let (tracker, woken) = Tracker::new(parts.retries);
        let (events, publisher) = events(parts.client.clone(), parts.metrics.clone());
        let context = Arc::new(Context {
            upstream: parts.upstream.clone(),
            records: parts.records.clone(),
            ledger: parts.ledger.clone(),
            pages: parts.pages.clone(),
            client: parts.client.clone(),
            tracker: Arc::clone(&tracker),
            events,
            metrics: parts.metrics.clone(),
            room: Semaphore::new(ROOM),
        });
        let mut tasks = Tasks::new(asked_to_end.clone());
        let (stop_controller, stop_events) = (CancellationToken::new(), CancellationToken::new());
        tasks.spawn("publisher of Events", publisher.run(stop_events.clone()));
        let (store, watching, touched) = watch::unfinished(parts.all.clone(), tracker, parts.metrics.clone());
        tasks.spawn(
            "controller",
            controller::run(
                Arc::clone(&context),
                store.clone(),
                futures::stream::select(touched, woken),
                parts.concurrency,
                parts.liveness.watch("controller", CONTROLLER_PATIENCE),
                stop_controller.clone(),
            ),
        );
        let fetcher = Fetcher::new(
            Arc::clone(&context),
            parts.liveness.watch("fetcher", FETCHER_PATIENCE),
            parts.interval,
            asked_to_end.clone(),
        );
        tasks.spawn("fetcher", fetcher.run());
        let patience = parts.sweep_interval * 2 + Duration::from_mins(20);
        let sweeper = Sweeper {
            context: Arc::clone(&context),
            all: parts.all.clone(),
            unfinished: store,
            watching,
            interval: parts.sweep_interval,
            heartbeat: parts.liveness.watch("sweeper", patience),
        };
        tasks.spawn("sweeper", sweeper.run(asked_to_end.clone()));
        let heartbeat = parts.liveness.watch("settler", SETTLER_PATIENCE);
        tasks.spawn(
            "settler",
            watermark::run(Arc::clone(&context), heartbeat, asked_to_end.clone()),
        );
        Self {
            tasks,
            context,
            stop_controller,
            stop_events,
        }
    }

    /// Resolves with an error when a task ends that should not, and without one when the process is asked to end.
    pub(crate) async fn supervise(&mut self) -> anyhow::Result<()> {
        self.tasks.supervise().await
    }

    /// Ends in order: no new request, the one under way finished, what it brought recorded and told.
    pub(crate) async fn finish(&mut self) -> anyhow::Result<()> {
        if let Ok(ended) = timeout(FINISH, self.wind_up()).await {
            return ended;
        }
        tracing::warn!("ending with work under way, which the next start takes up");
        Ok(())
    }

    async fn wind_up(&mut self) -> anyhow::Result<()> {
        self.context.tracker.close();
        if let Ok(ended) = timeout(FINISH_REQUEST, self.tasks.until_ended("fetcher")).await {
            ended?;
            // Its connection is closed and its turn over before the runtime, which holds both, goes.
            self.context.upstream.drained().await;
        } else {
            tracing::warn!("the request to arXiv takes too long and is dropped");
        }
        self.context.tracker.all_told().await;
        self.stop_controller.cancel();
        self.tasks.until_ended("controller").await?;
        self.stop_events.cancel();
        self.tasks.until_ended("publisher of Events").await
    }

    /// Puts everything down where it is, as another process may be about to take it up. A request that is under way is
    /// dropped.
    pub(crate) async fn abandon(self) {
        self.tasks.cancel().await;
        self.context.metrics.stands_by();
        if timeout(PUT_DOWN, self.context.upstream.drained()).await.is_err() {
            tracing::warn!("a request to arXiv is not put down yet");
        }
    }
}
