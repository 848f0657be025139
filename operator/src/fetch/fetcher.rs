//! The fetcher: the one task of this process that asks arXiv, page after page, in the order of the upstream queue.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use arxiv::{FailureClass, FetchError};
use crd::Reason;
use jiff::Timestamp;
use service::health::Heartbeat;
use storage::StorageError;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use upstream::{PageSelector, UpstreamError};

use crate::{
    controller::context::Context,
    fetch::{progress::Failure, tracker::Page},
    process::backoff::Backoff,
};

/// How long one page waits for the gate before the fetcher looks around again. Longer than anybody before us in the
/// gate's line stays in it (25 s at the API server, and one request's 20 s), so that the place in the line is never
/// given up for nothing.
const PATIENCE: Duration = Duration::from_mins(1);
/// Users are told of a request that is under way for longer.
const LINGERING: Duration = Duration::from_secs(10);
/// How often the fetcher looks around while it waits.
const LOOK_AROUND: Duration = Duration::from_secs(1);
/// The longest wait in a cool-down before the gate is asked again whether it lasts: its end is told by the database's
/// clock, which may not be ours.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// Waits while the gate's database is away.
const DATABASE_AWAY: Backoff = Backoff {
    base: Duration::from_secs(1),
    cap: Duration::from_secs(5),
};

/// The fetcher's state between two pages.
pub(crate) struct Fetcher {
    context: Arc<Context>,
    heartbeat: Heartbeat,
    stop: CancellationToken,
    /// Between two requests to arXiv.
    interval: Duration,
    /// Nothing is asked for before this time.
    paused_until: Option<Instant>,
    failures_in_a_row: u32,
}

/// The outcome of one page, as far as the queue is concerned.
enum Asked {
    /// Those who wait for it were told; the next one is asked for after the pause.
    Told { pause: Option<Duration> },
    /// It was not asked for, and will not be before the pause is over.
    NotYet { pause: Duration },
    /// Nobody wants it any more, or the process ends.
    Dropped,
}

impl Fetcher {
    pub(crate) fn new(
        context: Arc<Context>,
        heartbeat: Heartbeat,
        interval: Duration,
        stop: CancellationToken,
    ) -> Self {
        Self {
            context,
            heartbeat,
            stop,
            interval,
            paused_until: None,
            failures_in_a_row: 0,
        }
    }

    /// Fetches until it is stopped; a request that is under way by then is finished.
    pub(crate) async fn run(mut self) {
        while !self.stop.is_cancelled() {
            self.heartbeat.beat();
            self.measure();
            let due = self.paused_until.is_none_or(|until| until <= Instant::now());
            let Some(page) = due.then(|| self.context.tracker.next()).flatten() else {
                self.wait().await;
                continue;
            };
            match self.ask(&page).await {
                Asked::Told { pause } => self.paused_until = pause.map(|pause| Instant::now() + pause),
                Asked::NotYet { pause } => {
                    self.context.tracker.put_back(&page);
                    self.paused_until = Some(Instant::now() + pause);
                }
                Asked::Dropped => self.context.tracker.put_back(&page),
            }
        }
    }

    /// Until something is wanted, the pause is over, or it is time to look around.
    async fn wait(&self) {
        let until = self.paused_until.unwrap_or_else(|| Instant::now() + LOOK_AROUND);
        let wanted = async {
            match self.paused_until {
                None => self.context.tracker.wanted().await,
                Some(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            () = wanted => {}
            () = tokio::time::sleep_until(until.min(Instant::now() + LOOK_AROUND)) => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Asks for one page and tells those who wait for it.
    async fn ask(&mut self, wanted: &Page) -> Asked {
        let request = &wanted.request;
        let context = Arc::clone(&self.context);
        let tracker = &context.tracker;
        let began = Arc::new(OnceLock::new());
        let on_slot = {
            let began = Arc::clone(&began);
            move || {
                let _ = began.set(Timestamp::now());
            }
        };
        let selector = PageSelector {
            day: wanted.day,
            version: tracker.page_version(wanted),
        };
        let page = context.upstream.page(request, selector, PATIENCE, on_slot);
        let mut page = std::pin::pin!(page);
        let mut told_of_lingering = false;
        let outcome = loop {
            match timeout(LOOK_AROUND, &mut page).await {
                Ok(outcome) => break outcome,
                Err(_) => match began.get() {
                    // Still in line: it may be left without any request.
                    None if self.stop.is_cancelled() || !tracker.is_wanted(wanted) => return Asked::Dropped,
                    None => self.heartbeat.beat(),
                    Some(began) => {
                        let lasted = Timestamp::now().duration_since(*began).unsigned_abs();
                        if lasted > LINGERING && !told_of_lingering {
                            told_of_lingering = true;
                            tracker.lingers(wanted, *began);
                        }
                    }
                },
            }
            self.measure();
        };
        let now = Timestamp::now();
        let began = began.get().copied().unwrap_or(now);
        let error = match outcome {
            Ok(given) => {
                self.failures_in_a_row = 0;
                self.context.metrics.requested(if given.fetched {
                    "answered"
                } else {
                    "stored_meanwhile"
                });
                if given.fetched {
                    tracing::info!(
                        start = request.start,
                        count = request.count,
                        total = given.page.total,
                        duration_ms = duration_ms(began, now),
                        "arXiv answered {}",
                        request.search.sent()
                    );
                    self.cool_down(None);
                }
                self.context.tracker.answered(
                    wanted,
                    began,
                    now,
                    given.fetched.then_some(given.page.fetched_at),
                );
                return Asked::Told { pause: None };
            }
            Err(error) => error,
        };
        self.not_answered(wanted, error, began, now)
    }

    /// Tells those who wait for the page why it did not come, if it was asked for.
    fn not_answered(
        &mut self,
        wanted: &Page,
        error: UpstreamError,
        began: Timestamp,
        now: Timestamp,
    ) -> Asked {
        let metrics = &self.context.metrics;
        metrics.requested(outcome_of(&error));
        match error {
            UpstreamError::Fetch {
                source: FetchError::Cancelled,
                ..
            } => Asked::Dropped,
            UpstreamError::Fetch {
                source,
                cooling_until,
            } => {
                self.failures_in_a_row = 0;
                tracing::warn!(
                    reason = upstream::reason(&source).as_str(),
                    duration_ms = duration_ms(began, now),
                    "a request to arXiv failed: {source}"
                );
                // First, as those who are told of the failure tell of the cool-down as well.
                let pause = self.cool_down(cooling_until);
                let failure = Failure {
                    class: source.class(),
                    reason: upstream::reason(&source),
                    http_status: source.caller_status(),
                    message: source.to_string(),
                };
                self.context.tracker.failed(wanted, &failure, began, now);
                Asked::Told { pause }
            }
            UpstreamError::CoolingDown { retry_after, .. } => {
                self.failures_in_a_row = 0;
                let until = now.checked_add(retry_after).ok();
                Asked::NotYet {
                    pause: self.cool_down(until).unwrap_or_default(),
                }
            }
            UpstreamError::Busy { retry_after } => Asked::NotYet {
                pause: retry_after.min(LONGEST_PAUSE),
            },
            UpstreamError::Lost(error) => self.database_away(&error),
            UpstreamError::Storage(error) if error.is_unavailable() => self.database_away(&error),
            UpstreamError::Storage(error) => {
                // Asked for again and again it would hold up all others, so it counts as a failed attempt.
                metrics.failed("database");
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a page cannot be stored: {error}"
                );
                let failure = Failure {
                    class: FailureClass::Broken,
                    reason: Reason::NotStored,
                    http_status: 503,
                    message: "arXiv's answer cannot be stored".to_owned(),
                };
                self.context.tracker.failed(wanted, &failure, began, now);
                Asked::Told { pause: None }
            }
        }
    }

    /// The gate or the page store is away: the page is asked for again when it is back, and that is no attempt.
    fn database_away(&mut self, error: &StorageError) -> Asked {
        self.context.metrics.failed("database_away");
        // Readiness tells of it; but the first time, it may have taken a request with it.
        if self.failures_in_a_row == 0 {
            tracing::warn!("arXiv cannot be asked: {error}");
        }
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        Asked::NotYet {
            pause: DATABASE_AWAY.delay(self.failures_in_a_row),
        }
    }

    /// Takes over what is known of the cool-down that everybody shares; how long to pause for it.
    fn cool_down(&self, until: Option<Timestamp>) -> Option<Duration> {
        let left = until.map(|until| until.duration_since(Timestamp::now()));
        let left = left.and_then(|left| Duration::try_from(left).ok());
        if self.context.tracker.cool_down(until) {
            let seconds = left.unwrap_or_default().as_secs();
            tracing::warn!(
                seconds,
                "arXiv is asked nothing for a while: it asked to slow down"
            );
        }
        left.map(|left| left.min(LONGEST_PAUSE))
    }

    fn measure(&self) {
        let now = Timestamp::now();
        let tracker = &self.context.tracker;
        let cool_down = tracker.cooling_until(now).map(|until| until.duration_since(now));
        let cool_down = cool_down.map_or(0.0, |left| left.as_secs_f64());
        self.context.metrics.cool_down_seconds.set(cool_down);
        self.context
            .metrics
            .queue(&tracker.backlog(), cool_down, self.interval, now);
    }
}

fn outcome_of(error: &UpstreamError) -> &'static str {
    match error {
        UpstreamError::Fetch { source, .. } => match source.class() {
            FailureClass::Invalid => "invalid",
            FailureClass::Throttled => "throttled",
            FailureClass::Unreachable => "unreachable",
            FailureClass::Broken => "broken",
        },
        UpstreamError::Busy { .. } => "gate_busy",
        UpstreamError::CoolingDown { .. } => "cooling_down",
        UpstreamError::Lost(_) => "gate_lost",
        UpstreamError::Storage(_) => "database",
    }
}

fn duration_ms(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0)
}
