//! The fetcher: the one task of this process that sends requests to arXiv, page after page, in the order of
//! the queue.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use arxiv::{FailureClass, FetchError};
use crd::Reason;
use jiff::Timestamp;
use service::{backoff::Backoff, health::Heartbeat};
use storage::{FailureRecord, GateError, StorageError};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use upstream::{FetchedPage, PageSelector, Upstream, UpstreamError};

use super::{page_queue::QueuedPage, progress::RequestFailure, tracker::Tracker};
use crate::process::metrics::Metrics;

/// How long one page waits for the gate before the fetcher continues with the queue. Longer than any process
/// before us in the gate's line may stay there (25 s at the API server, and 20 s of one request), so that a
/// position in the line is never given up without need.
const GATE_TIMEOUT: Duration = Duration::from_mins(1);
/// A request that takes longer is reported in the status of its queries.
const SLOW_REQUEST: Duration = Duration::from_secs(10);
/// How often the fetcher checks its surroundings (end of the process, metrics, queries that left) while it
/// waits.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The longest wait in a cool-down before the gate is checked again: the end of the cool-down is a time of
/// the database's clock, which may differ from ours.
const MAX_PAUSE: Duration = Duration::from_mins(1);
/// Waits while the gate's database is unavailable.
const DATABASE_RETRY: Backoff = Backoff {
    base: Duration::from_secs(1),
    cap: Duration::from_secs(5),
};

/// The fetcher with its state between two pages.
pub(crate) struct Fetcher {
    upstream: Upstream,
    tracker: Arc<Tracker>,
    metrics: Metrics,
    heartbeat: Heartbeat,
    /// Between two requests to arXiv.
    interval: Duration,
    stop: CancellationToken,
    /// No page is taken from the queue before this time.
    paused_until: Option<Instant>,
    /// Failures of the gate's database in a row.
    database_failures: u32,
}

/// What became of a page that was taken from the queue.
enum FetchResult {
    /// Its queries were notified; the next page follows after the pause.
    Delivered { pause: Option<Duration> },
    /// It was not requested; it is tried again after the pause.
    Deferred { pause: Duration },
    /// No query waits for it any more, or the process ends.
    Dropped,
}

impl Fetcher {
    pub(crate) fn new(
        upstream: Upstream,
        tracker: Arc<Tracker>,
        metrics: Metrics,
        heartbeat: Heartbeat,
        interval: Duration,
        stop: CancellationToken,
    ) -> Self {
        Self {
            upstream,
            tracker,
            metrics,
            heartbeat,
            interval,
            stop,
            paused_until: None,
            database_failures: 0,
        }
    }

    /// Fetches until it is stopped; a request that is in flight then is finished.
    pub(crate) async fn run(mut self) {
        while !self.stop.is_cancelled() {
            self.heartbeat.beat();
            self.update_metrics();
            let due = self.paused_until.is_none_or(|until| until <= Instant::now());
            let Some(page) = due.then(|| self.tracker.next()).flatten() else {
                self.wait().await;
                continue;
            };
            match self.fetch(&page).await {
                FetchResult::Delivered { pause } => {
                    self.paused_until = pause.map(|pause| Instant::now() + pause);
                }
                FetchResult::Deferred { pause } => {
                    self.tracker.put_back(&page);
                    self.paused_until = Some(Instant::now() + pause);
                }
                FetchResult::Dropped => self.tracker.put_back(&page),
            }
        }
    }

    /// Waits until a page is queued, the pause is over, or the poll interval is.
    async fn wait(&self) {
        let poll = Instant::now() + POLL_INTERVAL;
        let queued = async {
            match self.paused_until {
                None => self.tracker.queued().await,
                Some(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            () = queued => {}
            () = tokio::time::sleep_until(self.paused_until.map_or(poll, |until| until.min(poll))) => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Fetches one page and notifies its queries.
    async fn fetch(&mut self, page: &Arc<QueuedPage>) -> FetchResult {
        let request = &page.request;
        let sent_at = Arc::new(OnceLock::new());
        let on_slot = {
            let sent_at = Arc::clone(&sent_at);
            move || {
                let _ = sent_at.set(Timestamp::now());
            }
        };
        let selector = PageSelector {
            day: page.day,
            version: self.tracker.page_version(page),
        };
        let upstream = self.upstream.clone();
        let fetch = upstream.page(request, selector, GATE_TIMEOUT, on_slot);
        let mut fetch = std::pin::pin!(fetch);
        let mut marked_slow = false;
        let outcome = loop {
            match timeout(POLL_INTERVAL, &mut fetch).await {
                Ok(outcome) => break outcome,
                Err(_) => match sent_at.get() {
                    // Still in the gate's line, which may be left without a request.
                    None if self.stop.is_cancelled() || !self.tracker.has_waiters(page) => {
                        return FetchResult::Dropped;
                    }
                    None => self.heartbeat.beat(),
                    Some(sent_at) => {
                        let lasted = Timestamp::now().duration_since(*sent_at).unsigned_abs();
                        if lasted > SLOW_REQUEST && !marked_slow {
                            marked_slow = true;
                            self.tracker.mark_slow(page, *sent_at);
                        }
                    }
                },
            }
            self.update_metrics();
        };
        let now = Timestamp::now();
        let began = sent_at.get().copied().unwrap_or(now);
        match outcome {
            Ok(answer) => {
                self.deliver(page, &answer, began, now);
                FetchResult::Delivered { pause: None }
            }
            Err(error) => self.handle_error(page, error, began, now),
        }
    }

    /// Notifies the queries of a page that is stored now.
    fn deliver(&mut self, page: &Arc<QueuedPage>, answer: &FetchedPage, began: Timestamp, now: Timestamp) {
        self.database_failures = 0;
        let fetched_at = answer.fetched.then_some(answer.page.fetched_at);
        if answer.fetched {
            self.metrics.requested("answered");
            tracing::info!(
                start = page.request.start,
                count = page.request.count,
                total = answer.page.head.total,
                duration_ms = duration_ms(began, now),
                "arXiv answered {}",
                page.request.search.display_query()
            );
            self.set_cool_down(None);
        } else {
            self.metrics.requested("stored_meanwhile");
        }
        self.tracker.answered(page, began, now, fetched_at);
    }

    /// Notifies the queries of a page whose request failed; defers a page that was not requested.
    fn handle_error(
        &mut self,
        page: &Arc<QueuedPage>,
        error: UpstreamError,
        began: Timestamp,
        now: Timestamp,
    ) -> FetchResult {
        self.metrics.requested(outcome_of(&error));
        match error {
            UpstreamError::Fetch {
                source: FetchError::Cancelled,
                ..
            } => FetchResult::Dropped,
            UpstreamError::Fetch {
                source,
                cooling_until,
            } => {
                self.database_failures = 0;
                let reason = upstream::reason(&source).as_str();
                tracing::warn!(
                    reason,
                    duration_ms = duration_ms(began, now),
                    "a request to arXiv failed: {source}"
                );
                // Before the queries are notified, as their status says when the cool-down ends.
                let pause = self.set_cool_down(cooling_until);
                let failure = RequestFailure {
                    class: source.class(),
                    record: FailureRecord {
                        reason: reason.to_owned(),
                        message: source.to_string(),
                        http_status: Some(source.caller_status()),
                    },
                };
                self.tracker.failed(page, &failure, began, now);
                FetchResult::Delivered { pause }
            }
            UpstreamError::Gate(GateError::CoolingDown { retry_after, .. }) => {
                self.database_failures = 0;
                let until = now.checked_add(retry_after).ok();
                FetchResult::Deferred {
                    pause: self.set_cool_down(until).unwrap_or_default(),
                }
            }
            UpstreamError::Gate(GateError::Busy { retry_after }) => FetchResult::Deferred {
                pause: retry_after.min(MAX_PAUSE),
            },
            UpstreamError::Lost(error) => self.database_unavailable(&error),
            UpstreamError::Gate(GateError::Storage(error)) | UpstreamError::Storage(error)
                if error.is_unavailable() =>
            {
                self.database_unavailable(&error)
            }
            UpstreamError::Gate(GateError::Storage(error)) | UpstreamError::Storage(error) => {
                // Requested again and again it would block all others, so it counts as a failed attempt.
                self.metrics.failed("database");
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a page cannot be stored: {error}"
                );
                let failure = RequestFailure {
                    class: FailureClass::Broken,
                    record: FailureRecord {
                        reason: Reason::NotStored.as_str().to_owned(),
                        message: "arXiv's answer cannot be stored".to_owned(),
                        http_status: Some(503),
                    },
                };
                self.tracker.failed(page, &failure, began, now);
                FetchResult::Delivered { pause: None }
            }
        }
    }

    /// The gate or the page store is unavailable: the page is tried again when they are back, and that is no
    /// attempt.
    fn database_unavailable(&mut self, error: &StorageError) -> FetchResult {
        self.metrics.failed("database_unavailable");
        // Readiness shows the rest; but the first error may have cost a request.
        if self.database_failures == 0 {
            tracing::warn!("requests to arXiv are not possible: {error}");
        }
        self.database_failures = self.database_failures.saturating_add(1);
        FetchResult::Deferred {
            pause: DATABASE_RETRY.delay(self.database_failures),
        }
    }

    /// Keeps the end of the shared cool-down; returns how long to pause for it.
    fn set_cool_down(&self, until: Option<Timestamp>) -> Option<Duration> {
        let left = until.map(|until| until.duration_since(Timestamp::now()));
        let left = left.and_then(|left| Duration::try_from(left).ok());
        if self.tracker.set_cool_down(until) {
            let seconds = left.unwrap_or_default().as_secs();
            tracing::warn!(
                seconds,
                "no requests to arXiv for some time: it asked to slow down"
            );
        }
        left.map(|left| left.min(MAX_PAUSE))
    }

    fn update_metrics(&self) {
        let now = Timestamp::now();
        let cool_down = self.tracker.cooling_until(now);
        let cool_down = cool_down.map_or(0.0, |until| until.duration_since(now).as_secs_f64());
        let stats = self.tracker.queue_stats();
        self.metrics.queue(&stats, cool_down, self.interval, now);
    }
}

/// The metric label of a page that was not answered.
fn outcome_of(error: &UpstreamError) -> &'static str {
    match error {
        UpstreamError::Fetch { source, .. } => match source.class() {
            FailureClass::Invalid => "invalid",
            FailureClass::Throttled => "throttled",
            FailureClass::Unreachable => "unreachable",
            FailureClass::Broken => "broken",
        },
        UpstreamError::Gate(GateError::Busy { .. }) => "gate_busy",
        UpstreamError::Gate(GateError::CoolingDown { .. }) => "cooling_down",
        UpstreamError::Lost(_) => "gate_lost",
        UpstreamError::Gate(GateError::Storage(_)) | UpstreamError::Storage(_) => "database",
    }
}

fn duration_ms(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0)
}
