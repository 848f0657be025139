//! Pages of a search: from the store, or from arXiv through the gate.
//!
//! This joins [`arxiv`], [`storage`] and [`crd`]; both binaries send requests to arXiv only through it. A
//! spec becomes a [`ValidatedQuery`], its search is cut into [`slices`], each slice is a
//! [page](Upstream::page), and [`Dedup`] leaves each paper on one of them.

mod empty_page;
mod error;
mod feeds;
mod pages;
mod query;
mod settings;
mod timing;
mod turn;

use std::sync::Arc;
use std::time::Duration;

use arxiv::{Client, FetchError, PageRequest};
use jiff::civil::Date;
use storage::{Gate, Page, PageKey, PageVersion, Pages};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

pub use error::{UpstreamError, reason};
pub use feeds::{feed_search_hash, feed_search_hashes};
pub use pages::{Dedup, OVERLAPS, Updates, overlapping_slices, remove_older, slices};
pub use query::{SpecError, ValidatedQuery, problems};
pub use settings::{SettingsError, UpstreamArgs};
pub use timing::register_metrics;

use crate::turn::PageFetch;

/// arXiv's pages, one of these for a process; clones share it.
#[derive(Clone)]
pub struct Upstream {
    parts: Arc<Parts>,
}

struct Parts {
    client: Client,
    gate: Gate,
    pages: Pages,
    fetches: TaskTracker,
}

/// A page, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedPage {
    /// The page as it is stored.
    pub page: Page,
    /// Whether it was fetched from arXiv in this call, so that its Date is the time of this caller's answer.
    pub fetched: bool,
}

/// Of which day, and which of its versions. A day alone means the newest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSelector {
    /// arXiv's day.
    pub day: Date,
    /// Which of them, if the page was fetched several times.
    pub version: PageVersion,
}

impl From<Date> for PageSelector {
    fn from(day: Date) -> Self {
        Self {
            day,
            version: PageVersion::Newest,
        }
    }
}

impl Upstream {
    /// Joins the parts; sends no request yet.
    pub fn new(client: Client, gate: Gate, pages: Pages) -> Self {
        Self {
            parts: Arc::new(Parts {
                client,
                gate,
                pages,
                fetches: TaskTracker::new(),
            }),
        }
    }

    /// The stored page of that day, if there is one. Sends no request.
    pub async fn stored(
        &self,
        request: &PageRequest,
        selector: impl Into<PageSelector>,
    ) -> Result<Option<Page>, UpstreamError> {
        let page = self.parts.pages.get(&key(request, selector)).await?;
        timing::looked_up(page.is_some());
        Ok(page)
    }

    /// The page of that day, from arXiv if nobody has fetched a version of it that will do.
    ///
    /// `timeout` bounds the wait for the turn and the slot, not the request, which has its client's
    /// deadline. `on_slot` is called once, when the first request for this page is about to go out.
    ///
    /// 1. Store: use a page that is stored.
    /// 2. Gate: wait for the turn, in which no other process sends a request.
    /// 3. Store again, if another turn was in between: this page may have been fetched in it.
    /// 4. Slot: wait until a request is allowed; take a new slot if it grew old before the request was sent.
    /// 5. Fetch: send one request. It is dropped if the turn is lost, since then another process may send
    ///    one.
    /// 6. Store: put the page while the turn lasts, so that the next process in line finds it.
    /// 7. Finish: record the outcome at the gate, and end the turn; the connection is closed by now.
    ///
    /// A redirect, and an empty page that is not accepted yet, lead back to 2: each request has its own turn,
    /// and other processes have theirs in between.
    ///
    /// If the returned future is dropped, the request is dropped, its connection is closed, and only then the
    /// turn ends: all of it runs in its own task, which is cancelled when nobody waits for it any more.
    pub async fn page(
        &self,
        request: &PageRequest,
        selector: impl Into<PageSelector>,
        timeout: Duration,
        on_slot: impl FnOnce() + Send + Sync + 'static,
    ) -> Result<FetchedPage, UpstreamError> {
        let selector = selector.into();
        let last_lease = self.parts.gate.last_lease();
        if let Some(page) = self.stored(request, selector).await? {
            return Ok(FetchedPage { page, fetched: false });
        }
        let cancel = CancellationToken::new();
        let _cancel_when_dropped = cancel.clone().drop_guard();
        let fetch = PageFetch {
            parts: Arc::clone(&self.parts),
            request: request.clone(),
            key: key(request, selector),
            last_lease,
            give_up: tokio::time::Instant::now() + timeout,
            cancel,
            on_slot: Some(Box::new(on_slot)),
        };
        let fetched = self.parts.fetches.spawn(fetch.run().in_current_span()).await;
        fetched.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The process is ending.
            Err(_) => Err(FetchError::Cancelled.into()),
        })
    }

    /// Resolves when no request is in flight and no turn is held. To be awaited at the end of a process,
    /// after the last call of [`Self::page`]: a runtime that ends first would release the gate before the
    /// connection is closed.
    pub async fn drained(&self) {
        self.parts.fetches.close();
        self.parts.fetches.wait().await;
    }
}

/// The key that a page is stored under.
pub fn key(request: &PageRequest, selector: impl Into<PageSelector>) -> PageKey {
    let PageSelector { day, version } = selector.into();
    PageKey {
        search: request.search.key().to_owned(),
        day,
        start: request.start,
        count: request.count,
        version,
    }
}
