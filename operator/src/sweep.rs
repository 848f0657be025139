//! The sweeper: what has outlived its use is removed, a little at a time.

use std::{sync::Arc, time::Duration};

use crd::ArxivQuery;
use jiff::{Timestamp, ToSpan};
use kube::{Api, runtime::reflector::Store};
use service::health::Heartbeat;
use storage::StorageError;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    context::Context,
    ttl,
    watch::{Watching, present},
};

/// Bytes that pages may take: some 1,500 pages of 2000 papers, a day's worth of big slices at one in a minute.
const MAX_PAGE_BYTES: u64 = 512 * 1024 * 1024;
/// Entries of the ledger that are younger are left alone: they may belong to a query that is just being recorded.
const LEDGER_AGE: Duration = Duration::from_hours(1);
/// Uids looked at in one go.
const BATCH: u32 = 1_000;

/// What the sweeper works on.
pub(crate) struct Sweeper {
    pub(crate) context: Arc<Context>,
    /// All objects that this process is for.
    pub(crate) all: Api<ArxivQuery>,
    pub(crate) unfinished: Store<ArxivQuery>,
    pub(crate) watching: Watching,
    pub(crate) interval: Duration,
    pub(crate) heartbeat: Heartbeat,
}

impl Sweeper {
    /// Sweeps until it is stopped.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut due = tokio::time::interval(self.interval);
        due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = due.tick() => {}
                () = stop.cancelled() => return,
            }
            self.heartbeat.beat();
            tokio::select! {
                () = self.sweep() => {}
                // All of it may be left at any point.
                () = stop.cancelled() => return,
            }
        }
    }

    async fn sweep(&self) {
        let metrics = &self.context.metrics;
        if let Err(error) = ttl::sweep(&self.context.client, &self.all, metrics).await {
            metrics.failed("sweep");
            tracing::debug!("expired objects are left for the next sweep: {error}");
        }
        self.heartbeat.beat();
        for (what, swept) in [
            ("old pages", self.pages().await),
            ("the ledger", self.ledger().await),
            ("unfinished rows", self.rows().await),
            (
                "closed queries",
                self.context.records.prune_closed().await.map(drop),
            ),
        ] {
            match swept {
                Ok(()) => {}
                Err(error) if error.is_unavailable() => metrics.failed("database_away"),
                Err(error) => {
                    metrics.failed("sweep");
                    tracing::warn!("{what} are not swept: {error}");
                }
            }
        }
    }

    /// Pages of days gone. Yesterday's stay: a query that began before midnight goes on with the pages of its day.
    async fn pages(&self) -> Result<(), StorageError> {
        let today = arxiv::arxiv_day(Timestamp::now());
        let yesterday = today.checked_sub(1.day()).unwrap_or(today);
        let pruned = self.context.pages.prune(yesterday, MAX_PAGE_BYTES).await?;
        if pruned > 0 {
            tracing::info!(pages = pruned, "old pages removed");
        }
        Ok(())
    }

    /// Numbers of objects that are finished or gone. Of the finished ones the rows tell the number, and should one be
    /// forgotten too early, its object just gets another.
    async fn ledger(&self) -> Result<(), StorageError> {
        if !self.watching.is_current() {
            return Ok(());
        }
        let mut after = None;
        loop {
            let uids = self.context.ledger.uids(LEDGER_AGE, after, BATCH).await?;
            let Some(last) = uids.last().copied() else {
                return Ok(());
            };
            after = Some(last);
            self.context.ledger.prune(&self.gone(uids)).await?;
        }
    }

    /// Results of objects that are finished or gone and never got their row in `queries`; only where the two tables are
    /// on different servers can there be any.
    async fn rows(&self) -> Result<(), StorageError> {
        if !self.watching.is_current() {
            return Ok(());
        }
        let mut after = None;
        loop {
            let (uids, next) = self.context.records.unfinished(after, BATCH).await?;
            for uid in self.gone(uids) {
                let rows = self.context.records.sweep(uid).await?;
                tracing::info!(rows, %uid, "results removed that never became part of a query");
            }
            if next.is_none() {
                return Ok(());
            }
            after = next;
        }
    }

    /// Those that are not at work.
    fn gone(&self, mut uids: Vec<Uuid>) -> Vec<Uuid> {
        let present = present(&self.unfinished);
        uids.retain(|uid| !present.contains(uid));
        uids
    }
}
