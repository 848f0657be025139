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
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use upstream::{FetchedPage, PageSelector, UpstreamError};

use super::{
    page_queue::QueuedPage,
    progress::{Progress, RequestFailure},
    tracker::Tracker,
};
use crate::process::dependencies::Dependencies;

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

/// Without a heartbeat for so long it is stuck: its longest round is a page that takes four requests, each of
/// which waits for its turn.
const STALL: Duration = Duration::from_mins(10);

/// The fetcher with its state between two pages.
pub(crate) struct Fetcher {
    with: Arc<Dependencies>,
    tracker: Arc<Tracker>,
    heartbeat: Heartbeat,
    stop: CancellationToken,
    /// No page is taken from the queue before this time.
    paused_until: Option<Instant>,
    /// Failures of the gate's database in a row.
    database_failures: u32,
    /// When the metrics were updated: each time, the whole queue is counted.
    metrics_updated: Option<Instant>,
}

impl Fetcher {
    pub(crate) fn new(with: Arc<Dependencies>, tracker: Arc<Tracker>, stop: CancellationToken) -> Self {
        Self {
            heartbeat: with.liveness.watch("fetcher", STALL),
            with,
            tracker,
            stop,
            paused_until: None,
            database_failures: 0,
            metrics_updated: None,
        }
    }

    /// Fetches until it is stopped; a request that is in flight then is finished.
    pub(crate) async fn run(mut self) {
        while !self.stop.is_cancelled() {
            self.heartbeat.beat();
            self.update_metrics();
            self.paused_until.take_if(|until| *until <= Instant::now());
            let due = self.paused_until.is_none();
            let Some(page) = due.then(|| self.tracker.next()).flatten() else {
                self.wait().await;
                continue;
            };
            let span = self.tracker.span_of(&page);
            let pause = self.fetch(&page).instrument(span).await;
            self.tracker.put_back(&page);
            self.paused_until = pause.map(|pause| Instant::now() + pause);
        }
    }

    /// Waits until a page is queued, the pause is over, or the poll interval is.
    async fn wait(&self) {
        let poll = Instant::now() + POLL_INTERVAL;
        tokio::select! {
            () = self.tracker.queued(), if self.paused_until.is_none() => {}
            () = sleep_until(self.paused_until.map_or(poll, |until| until.min(poll))) => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Fetches one page and notifies its queries, unless it was not requested: then it is tried again. Returns
    /// the pause before the next page.
    async fn fetch(&mut self, page: &Arc<QueuedPage>) -> Option<Duration> {
        let sent_at = Arc::new(OnceLock::new());
        let slot = Arc::clone(&sent_at);
        let on_slot = move || {
            let _ = slot.set(Timestamp::now());
        };
        let selector = PageSelector {
            day: page.day,
            version: self.tracker.page_version(page),
        };
        let with = Arc::clone(&self.with);
        let fetch = with.upstream.page(&page.request, selector, GATE_TIMEOUT, on_slot);
        let mut fetch = std::pin::pin!(fetch);
        let mut marked_slow = false;
        let outcome = loop {
            if let Ok(outcome) = timeout(POLL_INTERVAL, &mut fetch).await {
                break outcome;
            }
            match sent_at.get() {
                // Still in the gate's line, which may be left without a request.
                None if self.stop.is_cancelled() || !self.tracker.has_waiters(page) => return None,
                None => self.heartbeat.beat(),
                Some(sent_at) => {
                    let lasted = Timestamp::now().duration_since(*sent_at).unsigned_abs();
                    if lasted > SLOW_REQUEST && !marked_slow {
                        marked_slow = true;
                        let mark = |progress: &mut Progress| progress.mark_slow(*sent_at);
                        self.tracker.update_waiters(page, mark);
                    }
                }
            }
            self.update_metrics();
        };
        let now = Timestamp::now();
        let began = sent_at.get().copied().unwrap_or(now);
        match outcome {
            Ok(answer) => {
                self.deliver(page, &answer, began, now);
                None
            }
            Err(error) => self.handle_error(page, error, began, now),
        }
    }

    /// Notifies the queries of a page that is stored now.
    fn deliver(&mut self, page: &Arc<QueuedPage>, answer: &FetchedPage, began: Timestamp, now: Timestamp) {
        self.database_failures = 0;
        let fetched_at = answer.fetched.then_some(answer.page.fetched_at);
        if answer.fetched {
            self.with.metrics.requested("answered");
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
            self.with.metrics.requested("stored_meanwhile");
        }
        let answered = |progress: &mut Progress| progress.answered(began, now, fetched_at);
        self.tracker.finish(page, answered);
    }

    /// Notifies the queries of a page whose request failed. Returns the pause before the next page.
    fn handle_error(
        &mut self,
        page: &Arc<QueuedPage>,
        error: UpstreamError,
        began: Timestamp,
        now: Timestamp,
    ) -> Option<Duration> {
        self.with.metrics.requested(outcome_of(&error));
        let (failure, pause) = match error {
            UpstreamError::Fetch {
                source: FetchError::Cancelled,
                ..
            } => return None,
            UpstreamError::Fetch {
                source,
                cooling_until,
            } => {
                self.database_failures = 0;
                let reason = upstream::reason(&source).as_str();
                let duration_ms = duration_ms(began, now);
                let error = &source as &dyn std::error::Error;
                tracing::warn!(reason, duration_ms, error, "a request to arXiv failed");
                let failure = RequestFailure {
                    class: source.class(),
                    record: FailureRecord {
                        reason: reason.to_owned(),
                        message: source.to_string(),
                        http_status: Some(source.caller_status()),
                    },
                };
                // Before the queries are notified, as their status says when the cool-down ends.
                (failure, self.set_cool_down(cooling_until))
            }
            UpstreamError::Gate(GateError::CoolingDown { retry_after, .. }) => {
                self.database_failures = 0;
                let pause = self.set_cool_down(now.checked_add(retry_after).ok());
                return Some(pause.unwrap_or_default());
            }
            UpstreamError::Gate(GateError::Busy { retry_after }) => return Some(retry_after.min(MAX_PAUSE)),
            UpstreamError::Lost(error) => return Some(self.database_unavailable(&error)),
            UpstreamError::Gate(GateError::Storage(error)) | UpstreamError::Storage(error) => {
                if error.is_unavailable() {
                    return Some(self.database_unavailable(&error));
                }
                // Requested again and again it would block all others, so it counts as a failed attempt.
                self.with.metrics.failed("database");
                let cause = &error as &dyn std::error::Error;
                tracing::warn!(error = cause, "a page cannot be stored");
                let failure = RequestFailure {
                    class: FailureClass::Broken,
                    record: FailureRecord {
                        reason: Reason::NotStored.as_str().to_owned(),
                        message: "arXiv's answer cannot be stored".to_owned(),
                        http_status: Some(503),
                    },
                };
                (failure, None)
            }
        };
        self.tracker.finish(page, |progress| {
            progress.failed(failure.clone(), began, now, &self.with.request_retry);
        });
        pause
    }

    /// The gate or the page store is unavailable: the page is tried again when they are back, and that is no
    /// attempt.
    fn database_unavailable(&mut self, error: &StorageError) -> Duration {
        self.with.metrics.failed("database_unavailable");
        // Readiness shows the rest; but the first error may have cost a request.
        if self.database_failures == 0 {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, "requests to arXiv are not possible");
        }
        self.database_failures = self.database_failures.saturating_add(1);
        DATABASE_RETRY.delay(self.database_failures)
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

    /// At most once in a poll interval.
    fn update_metrics(&mut self) {
        let updated = self.metrics_updated;
        if updated.is_some_and(|updated| updated.elapsed() < POLL_INTERVAL) {
            return;
        }
        self.metrics_updated = Some(Instant::now());
        let now = Timestamp::now();
        let cool_down = self.tracker.cooling_until(now);
        let cool_down = cool_down.map_or(0.0, |until| until.duration_since(now).as_secs_f64());
        let stats = self.tracker.queue_stats();
        self.with
            .metrics
            .queue(&stats, cool_down, self.with.interval, now);
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
