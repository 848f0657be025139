//! The sweeper: removes what has expired or is not needed any more, in small batches.

use std::{sync::Arc, time::Duration};

use jiff::{Timestamp, ToSpan};
use service::health::Heartbeat;
use storage::StorageError;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{expiry::ExpiryQueue, feeds, ttl};
use crate::{controller::watch::Unfinished, fetch::tracker::Tracker, process::dependencies::Dependencies};

/// Bytes that stored pages may use, uncompressed: about 200 pages of 2000 papers, or all pages of ten papers that can be
/// fetched on one day. On disk they take about half.
const MAX_PAGE_BYTES: u64 = 1024 * 1024 * 1024;
/// Younger entries of the ledger are kept: they may belong to a query that is being recorded.
const LEDGER_AGE: Duration = Duration::from_hours(1);
/// Uids that are checked at once.
const BATCH: u32 = 1_000;

/// The longest pause between two rounds, if the interval is not longer.
const MAX_PAUSE: Duration = Duration::from_mins(5);

/// In addition to two intervals: a sweeper without a heartbeat for so long is stuck.
const STALL: Duration = Duration::from_mins(20);

/// The sweeper and what it uses.
pub(crate) struct Sweeper {
    with: Arc<Dependencies>,
    tracker: Arc<Tracker>,
    unfinished: Unfinished,
    expiring: Arc<ExpiryQueue>,
    heartbeat: Heartbeat,
}

impl Sweeper {
    pub(crate) fn new(
        with: Arc<Dependencies>,
        tracker: Arc<Tracker>,
        unfinished: Unfinished,
        expiring: Arc<ExpiryQueue>,
    ) -> Self {
        let stall = with.sweep_interval * 2 + STALL;
        Self {
            heartbeat: with.liveness.watch("sweeper", stall),
            with,
            tracker,
            unfinished,
            expiring,
        }
    }

    /// Sweeps until it is stopped.
    pub(crate) async fn run(self, stop: CancellationToken) {
        // It may be dropped at any point.
        let rounds = async {
            loop {
                self.heartbeat.beat();
                let listing = self.sweep().await;
                self.with.metrics.sweeps.inc();
                tokio::time::sleep(pause(listing, self.with.sweep_interval)).await;
            }
        };
        stop.run_until_cancelled(Box::pin(rounds)).await;
    }

    /// One round; returns how long it took to list the finished objects.
    async fn sweep(&self) -> Duration {
        let (metrics, records) = (&self.with.metrics, &self.with.records);
        let listing = ttl::sweep(&self.with, &self.expiring, &self.heartbeat).await;
        if let Err(error) = &listing {
            metrics.failed("sweep");
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, "expired objects stay until the next sweep");
        }
        self.heartbeat.beat();
        if let Err(error) = feeds::mark_gone(&self.with, &self.heartbeat).await {
            metrics.failed(error.category());
            if !error.is_temporary() {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "feeds whose objects are gone are marked in the next sweep");
            }
        }
        self.heartbeat.beat();
        for (what, swept) in [
            ("old pages", self.pages().await),
            ("the ledger", self.ledger().await),
            ("rows without a query", self.orphaned_rows().await),
            ("expired rows", self.expired_rows().await),
            ("feeds", self.feeds().await),
            ("tombstones", records.prune_tombstones().await.map(drop)),
            // Nothing is removed: a metric is updated.
            ("ids", records.id_usage().await.map(|used| metrics.id_usage(used))),
        ] {
            if let Err(error) = swept {
                metrics.task_failed("sweep", &format!("{what} are not swept"), &error);
            }
        }
        listing.unwrap_or_default()
    }

    /// Pages of past days, and the oldest ones above the size limit. Yesterday's stay: a query that began
    /// before midnight continues with the pages of its day. The pages of queries with some slices stay as
    /// well: they take no more space than the results will.
    async fn pages(&self) -> Result<(), StorageError> {
        let today = arxiv::arxiv_day(Timestamp::now());
        let yesterday = today.checked_sub(1.day()).unwrap_or(today);
        let next_slices = self.tracker.next_slices();
        let kept: Vec<&str> = next_slices.iter().map(|page| page.request.search.key()).collect();
        let pruned = self.with.pages.prune(yesterday, MAX_PAGE_BYTES, &kept).await?;
        if pruned > 0 {
            tracing::info!(pages = pruned, "old pages removed");
        }
        Ok(())
    }

    /// Numbers of objects that are finished or deleted. The rows of a finished one hold its number; and if an
    /// entry is removed too early, its object gets another number.
    async fn ledger(&self) -> Result<(), StorageError> {
        if !self.unfinished.is_current() {
            return Ok(());
        }
        let mut after = None;
        loop {
            let uids = self.with.ledger.uids(LEDGER_AGE, after, BATCH).await?;
            after = uids.last().copied();
            if after.is_none() {
                return Ok(());
            }
            self.heartbeat.beat();
            self.with.ledger.prune(&self.gone(uids)).await?;
        }
    }

    /// Results of objects that are finished or deleted and never got their row in `queries`; these exist only
    /// where the two tables are on different servers.
    async fn orphaned_rows(&self) -> Result<(), StorageError> {
        if !self.unfinished.is_current() {
            return Ok(());
        }
        let mut after = None;
        loop {
            let (uids, next) = self.with.records.unfinished(after, BATCH).await?;
            for uid in self.gone(uids) {
                let rows = self.with.records.sweep(uid).await?;
                tracing::info!(rows, %uid, "results removed that never got a query");
            }
            if next.is_none() {
                return Ok(());
            }
            after = next;
        }
    }

    /// Rows that are older than the retention period in the databases' settings, in small batches.
    async fn expired_rows(&self) -> Result<(), StorageError> {
        let mut all = 0;
        while let expired @ 1.. = self.with.records.expire().await? {
            self.heartbeat.beat();
            all += expired;
        }
        if all > 0 {
            tracing::info!(queries = all, "rows removed after their retention period");
        }
        Ok(())
    }

    /// Items past the age that their feeds have set, and feeds whose objects are gone for a week, in small batches.
    async fn feeds(&self) -> Result<(), StorageError> {
        let feeds = self.with.records.feeds();
        let mut all = 0;
        while let pruned @ 1.. = feeds.prune().await? {
            self.heartbeat.beat();
            all += pruned;
        }
        if all > 0 {
            tracing::info!(rows = all, "rows of feeds removed that are not needed any more");
        }
        Ok(())
    }

    /// Those of the uids whose objects are finished or deleted.
    fn gone(&self, mut uids: Vec<Uuid>) -> Vec<Uuid> {
        let unfinished = self.unfinished.uids();
        uids.retain(|uid| !unfinished.contains(uid));
        uids
    }
}

/// The pause after a round: the interval, or longer where very many objects are finished but not expired, so
/// that listing them takes at most a quarter of the time.
fn pause(listing: Duration, interval: Duration) -> Duration {
    (listing * 3).min(MAX_PAUSE).max(interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pause_grows_with_the_listing_up_to_its_limit() {
        let seconds = Duration::from_secs;
        let minute = seconds(60);
        for (listing, interval, expected) in [
            (seconds(0), minute, minute),
            (seconds(5), minute, minute),
            (seconds(21), minute, seconds(63)),
            (seconds(300), minute, MAX_PAUSE),
            (seconds(300), seconds(3_600), seconds(3_600)),
        ] {
            assert_eq!(pause(listing, interval), expected, "{listing:?}, {interval:?}");
        }
    }
}
