//! The work of a process while it leads. It begins anew with each leadership and keeps nothing that must
//! outlive it: that is in Kubernetes and in the databases.

use std::{sync::Arc, time::Duration};

use crd::ArxivQuery;
use kube::{Api, Client};
use service::{backoff::Backoff, health::Liveness};
use storage::{Ledger, Pages, Records};
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::sync::CancellationToken;
use upstream::Upstream;

use crate::{
    controller::{
        self,
        context::{Context, MAX_BUFFERED_PAPERS},
        report::events::events,
        watch,
    },
    fetch::{fetcher::Fetcher, tracker::Tracker},
    maintenance::{sweep::Sweeper, watermark},
    process::{metrics::Metrics, supervisor::Supervisor},
};

/// The fetcher finishes the request in flight, which takes up to `ARXIV_TIMEOUT_MS` (20 s by default).
const REQUEST_TIMEOUT: Duration = Duration::from_secs(21);
/// For all of the shutdown: below the 30 s that Kubernetes gives a pod.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(25);
/// For an aborted request: a connection is closed and the gate released.
const ABORT_TIMEOUT: Duration = Duration::from_secs(2);

/// A loop without a heartbeat for so long is stuck. The fetcher's longest round is a page that takes four
/// requests, each of which waits for its turn.
const FETCHER_STALL: Duration = Duration::from_mins(10);
const CONTROLLER_STALL: Duration = Duration::from_mins(1);
/// A round is one database operation, which has a time limit.
const WATERMARK_STALL: Duration = Duration::from_mins(2);
/// In addition to two sweep intervals.
const SWEEPER_STALL: Duration = Duration::from_mins(20);

/// What the tasks of a leader use; it outlives each leadership.
pub(crate) struct Dependencies {
    pub(crate) client: Client,
    /// All objects that this process is responsible for.
    pub(crate) all: Api<ArxivQuery>,
    pub(crate) records: Records,
    pub(crate) ledger: Ledger,
    pub(crate) pages: Pages,
    pub(crate) upstream: Upstream,
    pub(crate) metrics: Metrics,
    pub(crate) liveness: Liveness,
    /// The waits of a query after failed requests.
    pub(crate) request_retry: Backoff,
    /// Between two requests to arXiv.
    pub(crate) interval: Duration,
    pub(crate) concurrency: u16,
    pub(crate) sweep_interval: Duration,
}

/// The running tasks of a leader.
pub(crate) struct LeaderTasks {
    tasks: Supervisor,
    tracker: Arc<Tracker>,
    upstream: Upstream,
    metrics: Metrics,
    stop_controller: CancellationToken,
    stop_events: CancellationToken,
}

impl LeaderTasks {
    /// Starts the tasks. When `shutdown` is cancelled, nothing new is fetched or swept; then call
    /// [`Self::finish`].
    pub(crate) fn start(with: &Dependencies, shutdown: &CancellationToken) -> Self {
        let (tracker, triggered) = Tracker::new(with.request_retry);
        let (events, publisher) = events(with.client.clone(), with.metrics.clone());
        let (stop_controller, stop_events) = (CancellationToken::new(), CancellationToken::new());
        let mut tasks = Supervisor::new(shutdown.clone());
        tasks.spawn("event publisher", publisher.run(stop_events.clone()));

        let (store, freshness, changed) =
            watch::unfinished(with.all.clone(), Arc::clone(&tracker), with.metrics.clone());
        let context = Arc::new(Context {
            records: with.records.clone(),
            ledger: with.ledger.clone(),
            pages: with.pages.clone(),
            client: with.client.clone(),
            tracker: Arc::clone(&tracker),
            events,
            metrics: with.metrics.clone(),
            buffered_papers: Semaphore::new(MAX_BUFFERED_PAPERS),
        });
        let controller = controller::run(
            context,
            store.clone(),
            futures::stream::select(changed, triggered),
            with.concurrency,
            with.liveness.watch("controller", CONTROLLER_STALL),
            stop_controller.clone(),
        );
        tasks.spawn("controller", controller);

        let fetcher = Fetcher::new(
            with.upstream.clone(),
            Arc::clone(&tracker),
            with.metrics.clone(),
            with.liveness.watch("fetcher", FETCHER_STALL),
            with.interval,
            shutdown.clone(),
        );
        tasks.spawn("fetcher", fetcher.run());

        let sweeper = Sweeper {
            client: with.client.clone(),
            all: with.all.clone(),
            records: with.records.clone(),
            ledger: with.ledger.clone(),
            pages: with.pages.clone(),
            tracker: Arc::clone(&tracker),
            unfinished: store,
            freshness,
            interval: with.sweep_interval,
            metrics: with.metrics.clone(),
            heartbeat: with
                .liveness
                .watch("sweeper", with.sweep_interval * 2 + SWEEPER_STALL),
        };
        tasks.spawn("sweeper", sweeper.run(shutdown.clone()));

        let watermark = watermark::run(
            with.records.clone(),
            with.metrics.clone(),
            with.liveness.watch("watermark", WATERMARK_STALL),
            shutdown.clone(),
        );
        tasks.spawn("watermark", watermark);
        Self {
            tasks,
            tracker,
            upstream: with.upstream.clone(),
            metrics: with.metrics.clone(),
            stop_controller,
            stop_events,
        }
    }

    /// Resolves with an error when a task ends unexpectedly, and without one when the process is asked to
    /// shut down.
    pub(crate) async fn supervise(&mut self) -> anyhow::Result<()> {
        self.tasks.supervise().await
    }

    /// Shuts down in order: no new request; the one in flight is finished, recorded and reported.
    pub(crate) async fn finish(&mut self) -> anyhow::Result<()> {
        if let Ok(drained) = timeout(SHUTDOWN_TIMEOUT, self.drain()).await {
            return drained;
        }
        tracing::warn!("shutting down with work in progress, which the next start continues");
        Ok(())
    }

    async fn drain(&mut self) -> anyhow::Result<()> {
        self.tracker.close();
        if let Ok(ended) = timeout(REQUEST_TIMEOUT, self.tasks.join("fetcher")).await {
            ended?;
            // The connection to arXiv is closed and the gate released before the runtime ends, which owns
            // both.
            self.upstream.drained().await;
        } else {
            tracing::warn!("the request to arXiv takes too long and is dropped");
        }
        self.tracker.drained().await;
        self.stop_controller.cancel();
        self.tasks.join("controller").await?;
        self.stop_events.cancel();
        self.tasks.join("event publisher").await
    }

    /// Stops all work at once, as another process may be about to start it. A request in flight is dropped.
    pub(crate) async fn abort(self) {
        self.tasks.cancel().await;
        self.metrics.standby();
        if timeout(ABORT_TIMEOUT, self.upstream.drained()).await.is_err() {
            tracing::warn!("a request to arXiv is still open");
        }
    }
}
