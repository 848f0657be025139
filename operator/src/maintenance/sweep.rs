//! The sweeper: removes what has expired or is not needed any more, in small batches.

use std::{sync::Arc, time::Duration};

use crd::ArxivQuery;
use jiff::{Timestamp, ToSpan};
use kube::{Api, Client, runtime::reflector::Store};
use service::health::Heartbeat;
use storage::{Ledger, Pages, Records, StorageError};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::ttl;
use crate::{
    controller::watch::{Freshness, unfinished_uids},
    fetch::tracker::Tracker,
    process::metrics::Metrics,
};

/// Bytes that stored pages may use: about 1,500 pages of 2000 papers, a day of large slices at one per
/// minute.
const MAX_PAGE_BYTES: u64 = 512 * 1024 * 1024;
/// Younger entries of the ledger are kept: they may belong to a query that is being recorded.
const LEDGER_AGE: Duration = Duration::from_hours(1);
/// Uids that are checked at once.
const BATCH: u32 = 1_000;

/// The longest pause between two rounds, if the interval is not longer.
const MAX_PAUSE: Duration = Duration::from_mins(5);

/// The sweeper and what it uses.
pub(crate) struct Sweeper {
    pub(crate) client: Client,
    /// All objects that this process is responsible for.
    pub(crate) all: Api<ArxivQuery>,
    pub(crate) records: Records,
    pub(crate) ledger: Ledger,
    pub(crate) pages: Pages,
    pub(crate) tracker: Arc<Tracker>,
    pub(crate) unfinished: Store<ArxivQuery>,
    pub(crate) freshness: Freshness,
    pub(crate) interval: Duration,
    pub(crate) metrics: Metrics,
    pub(crate) heartbeat: Heartbeat,
}

impl Sweeper {
    /// Sweeps until it is stopped.
    pub(crate) async fn run(self, stop: CancellationToken) {
        loop {
            self.heartbeat.beat();
            // It may be dropped at any point.
            let round = async {
                let listing = self.sweep().await;
                self.metrics.swept();
                tokio::time::sleep(pause(listing, self.interval)).await;
            };
            tokio::select! {
                () = round => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// One round; returns how long it took to list the finished objects.
    async fn sweep(&self) -> Duration {
        let metrics = &self.metrics;
        let listing = ttl::sweep(&self.client, &self.all, metrics, &self.heartbeat).await;
        if let Err(error) = &listing {
            metrics.failed("sweep");
            tracing::debug!("expired objects stay until the next sweep: {error}");
        }
        self.heartbeat.beat();
        for (what, swept) in [
            ("old pages", self.pages().await),
            ("the ledger", self.ledger().await),
            ("rows without a query", self.orphaned_rows().await),
            ("expired rows", self.expired_rows().await),
            ("tombstones", self.records.prune_tombstones().await.map(drop)),
            ("ids", self.ids().await),
        ] {
            match swept {
                Ok(()) => {}
                Err(error) if error.is_unavailable() => metrics.failed("database_unavailable"),
                Err(error) => {
                    metrics.failed("sweep");
                    tracing::warn!("{what} are not swept: {error}");
                }
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
        let pruned = self.pages.prune(yesterday, MAX_PAGE_BYTES, &kept).await?;
        if pruned > 0 {
            tracing::info!(pages = pruned, "old pages removed");
        }
        Ok(())
    }

    /// Numbers of objects that are finished or deleted. The rows of a finished one hold its number; and if an
    /// entry is removed too early, its object gets another number.
    async fn ledger(&self) -> Result<(), StorageError> {
        if !self.freshness.is_current() {
            return Ok(());
        }
        let mut after = None;
        loop {
            let uids = self.ledger.uids(LEDGER_AGE, after, BATCH).await?;
            let Some(last) = uids.last().copied() else {
                return Ok(());
            };
            after = Some(last);
            self.heartbeat.beat();
            self.ledger.prune(&self.gone(uids)).await?;
        }
    }

    /// Results of objects that are finished or deleted and never got their row in `queries`; these exist only
    /// where the two tables are on different servers.
    async fn orphaned_rows(&self) -> Result<(), StorageError> {
        if !self.freshness.is_current() {
            return Ok(());
        }
        let mut after = None;
        loop {
            let (uids, next) = self.records.unfinished(after, BATCH).await?;
            for uid in self.gone(uids) {
                let rows = self.records.sweep(uid).await?;
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
        loop {
            let expired = self.records.expire().await?;
            if expired == 0 {
                break;
            }
            self.heartbeat.beat();
            all += expired;
        }
        if all > 0 {
            tracing::info!(queries = all, "rows removed after their retention period");
        }
        Ok(())
    }

    /// Removes nothing: updates the metric of used ids.
    async fn ids(&self) -> Result<(), StorageError> {
        let used = self.records.id_usage().await?;
        self.metrics.id_usage(used);
        Ok(())
    }

    /// Those of the uids whose objects are finished or deleted.
    fn gone(&self, mut uids: Vec<Uuid>) -> Vec<Uuid> {
        let unfinished = unfinished_uids(&self.unfinished);
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
