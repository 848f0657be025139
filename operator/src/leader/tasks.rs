//! The work of a process while it leads. It begins anew with each leadership and keeps nothing that must
//! outlive it: that is in Kubernetes and in the databases.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{
    controller::{self, report::events::events, watch},
    deliveries, feeds,
    fetch::{fetcher::Fetcher, tracker::Tracker},
    maintenance::{claims, expiry::ExpiryQueue, finished, sweep::Sweeper, watermark},
    process::{dependencies::Dependencies, supervisor::Supervisor},
};

/// The fetcher finishes the request in flight, which takes up to `ARXIV_TIMEOUT_MS` (20 s by default).
const REQUEST_TIMEOUT: Duration = Duration::from_secs(21);
/// For all of the shutdown: below the 30 s that Kubernetes gives a pod.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(25);
/// For an aborted request: a connection is closed and the gate released.
const ABORT_TIMEOUT: Duration = Duration::from_secs(2);

/// The running tasks of a leader.
pub(crate) struct LeaderTasks {
    with: Arc<Dependencies>,
    tasks: Supervisor,
    tracker: Arc<Tracker>,
    stop_controller: CancellationToken,
    stop_events: CancellationToken,
}

impl LeaderTasks {
    /// Starts the tasks. When `shutdown` is cancelled, nothing new is fetched or swept; then call
    /// [`Self::finish`].
    pub(crate) fn start(with: &Arc<Dependencies>, shutdown: &CancellationToken) -> Self {
        let (tracker, triggered) = Tracker::new(with.priority_ceilings.clone());
        let (stop_controller, stop_events) = (CancellationToken::new(), CancellationToken::new());
        let mut tasks = Supervisor::new(shutdown.clone());
        let (events, publisher) = events(Arc::clone(with), stop_events.clone());
        tasks.spawn("event publisher", publisher);

        let of_feeds = feeds::run(Arc::clone(with), events.clone(), shutdown.clone());
        tasks.spawn("feeds", of_feeds);
        let delivering = deliveries::run(Arc::clone(with), events.clone(), shutdown.clone());
        tasks.spawn("deliveries", delivering);

        let (unfinished, changed) = watch::unfinished(with, Arc::clone(&tracker));
        let (shared, watched) = (Arc::clone(with), unfinished.clone());
        let context = controller::Context::new(shared, Arc::clone(&tracker), events, watched);
        let triggers = futures::stream::select(changed, triggered);
        let controller = controller::run(context, triggers, stop_controller.clone());
        tasks.spawn("controller", controller);

        let (claimed, stop_claims) = (Arc::clone(with), shutdown.clone());
        let watched = unfinished.clone();
        tasks.spawn("claims", async move {
            let refreshing = Box::pin(claims::run(&claimed, &watched));
            stop_claims.run_until_cancelled(refreshing).await;
        });
        let expiring = Arc::new(ExpiryQueue::default());
        let watched = unfinished.clone();
        let finished = finished::run(Arc::clone(with), watched, Arc::clone(&expiring), shutdown.clone());
        tasks.spawn("finished objects", finished);
        let fetcher = Fetcher::new(Arc::clone(with), Arc::clone(&tracker), shutdown.clone());
        tasks.spawn("fetcher", fetcher.run());
        let sweeper = Sweeper::new(Arc::clone(with), Arc::clone(&tracker), unfinished, expiring);
        tasks.spawn("sweeper", sweeper.run(shutdown.clone()));
        tasks.spawn("watermark", watermark::run(Arc::clone(with), shutdown.clone()));
        Self {
            with: Arc::clone(with),
            tasks,
            tracker,
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
            self.with.upstream.drained().await;
        } else {
            tracing::warn!("the request to arXiv takes too long and is dropped");
        }
        self.tasks.join("deliveries").await?;
        self.tracker.drained().await;
        self.stop_controller.cancel();
        self.tasks.join("controller").await?;
        self.stop_events.cancel();
        self.tasks.join("event publisher").await
    }

    /// Stops all work at once, as another process may be about to start it. A request in flight is dropped.
    pub(crate) async fn abort(self) {
        self.tasks.cancel().await;
        self.with.metrics.standby();
        self.with.claims.forget();
        if timeout(ABORT_TIMEOUT, self.with.upstream.drained())
            .await
            .is_err()
        {
            tracing::warn!("a request to arXiv is still open");
        }
    }
}
