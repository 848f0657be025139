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
    controller::{
        context::Context,
        watch::{Watching, present},
    },
    maintenance::ttl,
};

/// Bytes that pages may take: some 1,500 pages of 2000 papers, a day's worth of big slices at one in a minute.
const MAX_PAGE_BYTES: u64 = 512 * 1024 * 1024;
/// Entries of the ledger that are younger are left alone: they may belong to a query that is just being recorded.
const LEDGER_AGE: Duration = Duration::from_hours(1);
/// Uids looked at in one go.
const BATCH: u32 = 1_000;

/// The longest pause between two rounds, if the interval is not longer.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

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
        loop {
            self.heartbeat.beat();
            // All of it may be left at any point.
            let round = async {
                let listing = self.sweep().await;
                self.context.metrics.swept();
                tokio::time::sleep(pause(listing, self.interval)).await;
            };
            tokio::select! {
                () = round => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// One round; how long it took to list what is finished.
    async fn sweep(&self) -> Duration {
        let metrics = &self.context.metrics;
        let listing = ttl::sweep(&self.context.client, &self.all, metrics, &self.heartbeat).await;
        if let Err(error) = &listing {
            metrics.failed("sweep");
            tracing::debug!("expired objects are left for the next sweep: {error}");
        }
        self.heartbeat.beat();
        for (what, swept) in [
            ("old pages", self.pages().await),
            ("the ledger", self.ledger().await),
            ("unfinished rows", self.rows().await),
            ("rows past their age", self.expired_rows().await),
            (
                "closed queries",
                self.context.records.prune_tombstones().await.map(drop),
            ),
            ("ids", self.ids().await),
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
        listing.unwrap_or_default()
    }

    /// Pages of days gone, and the oldest beyond the bound. Yesterday's stay: a query that began before midnight goes on with
    /// the pages of its day. So do all of those who have fetched some of their slices: there are no more than their results
    /// will take in the end.
    async fn pages(&self) -> Result<(), StorageError> {
        let today = arxiv::arxiv_day(Timestamp::now());
        let yesterday = today.checked_sub(1.day()).unwrap_or(today);
        let under_way = self.context.tracker.under_way();
        let kept: Vec<&str> = under_way.iter().map(|page| page.request.search.key()).collect();
        let pages = &self.context.pages;
        let pruned = pages.prune(yesterday, MAX_PAGE_BYTES, &kept).await?;
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
            self.heartbeat.beat();
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

    /// Rows that are older than the databases' owner wants them kept, a few at a time.
    async fn expired_rows(&self) -> Result<(), StorageError> {
        let mut all = 0;
        loop {
            let expired = self.context.records.expire().await?;
            if expired == 0 {
                break;
            }
            self.heartbeat.beat();
            all += expired;
        }
        if all > 0 {
            tracing::info!(queries = all, "rows removed that were past their age");
        }
        Ok(())
    }

    /// Nothing to sweep: how many are left is told while rows are looked at anyway.
    async fn ids(&self) -> Result<(), StorageError> {
        let used = self.context.records.id_usage().await?;
        self.context.metrics.id_usage(used);
        Ok(())
    }

    /// Those that are not at work.
    fn gone(&self, mut uids: Vec<Uuid>) -> Vec<Uuid> {
        let present = present(&self.unfinished);
        uids.retain(|uid| !present.contains(uid));
        uids
    }
}

/// The pause after a round: the interval, and longer where very many objects are finished but not expired, so that they are
/// listed at most a quarter of the time.
fn pause(listing: Duration, interval: Duration) -> Duration {
    (listing * 3).min(LONGEST_PAUSE).max(interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_listings_are_rare() {
        let seconds = Duration::from_secs;
        let minute = seconds(60);
        for (listing, interval, expected) in [
            (seconds(0), minute, minute),
            (seconds(5), minute, minute),
            (seconds(21), minute, seconds(63)),
            (seconds(300), minute, LONGEST_PAUSE),
            (seconds(300), seconds(3_600), seconds(3_600)),
        ] {
            assert_eq!(pause(listing, interval), expected, "{listing:?}, {interval:?}");
        }
    }
}
