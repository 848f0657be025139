//! Fetching one page from arXiv: one request in each turn at the gate.

use std::sync::Arc;
use std::time::Duration;

use arxiv::{Answer, FailureClass, FetchError, Fetched, MAX_PAGE, PageRequest, PendingRequest};
use storage::{GateError, GateLease, LOCK_OUTLIVES_HOST, LastLease, PageHead, PageKey, RequestOutcome};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, field::Empty};

use crate::empty_page::{Decision, Observation, Retries, evaluate};
use crate::{FetchedPage, OVERLAPS, Parts, UpstreamError, timing};

/// The longest time that a request may take, whatever its client's deadline: it must have ended before the
/// lock of a lost machine is released.
const LONGEST_REQUEST: Duration = LOCK_OUTLIVES_HOST.saturating_sub(Duration::from_secs(5));

/// One call of [`crate::Upstream::page`] that did not find its page in the store.
pub(crate) struct PageFetch {
    pub(crate) parts: Arc<Parts>,
    pub(crate) request: PageRequest,
    pub(crate) key: PageKey,
    /// The last lease before the page was looked up.
    pub(crate) last_lease: LastLease,
    /// When the wait for turns and slots ends.
    pub(crate) give_up: Instant,
    /// Cancelled when nobody waits for the page any more.
    pub(crate) cancel: CancellationToken,
    pub(crate) on_slot: Option<Box<dyn FnOnce() + Send + Sync>>,
}

/// The result of a turn.
enum Step {
    Done(FetchedPage),
    /// Another turn is needed for this request.
    Again(PendingRequest),
}

impl PageFetch {
    /// Steps 2 to 7 of [`crate::Upstream::page`].
    pub(crate) async fn run(mut self) -> Result<FetchedPage, UpstreamError> {
        let mut pending = self.parts.client.pending(&self.request);
        let mut retries = Retries::default();
        loop {
            // A wait has no state to clean up, so here it is enough to stop.
            let enter = self.parts.gate.acquire(self.time_left());
            let enter = enter.instrument(tracing::error_span!("wait for gate"));
            let began = Instant::now();
            let turn = self.cancel.run_until_cancelled(enter).await;
            let turn = turn.ok_or(FetchError::Cancelled)?;
            timing::waited("turn", &turn, began.elapsed());
            let turn = turn?;
            match self.take_turn(turn, pending, &mut retries).await? {
                Step::Done(given) => return Ok(given),
                Step::Again(next) => {
                    pending = next;
                    self.last_lease = LastLease::default();
                }
            }
        }
    }

    /// Steps 3 to 7: the turn ends here, whatever its result.
    async fn take_turn(
        &mut self,
        mut turn: GateLease,
        pending: PendingRequest,
        retries: &mut Retries,
    ) -> Result<Step, UpstreamError> {
        // Pages are stored in turns: if there was none in between, the lookup before it holds.
        if !turn.follows(self.last_lease)
            && let Some(page) = self.parts.pages.get(&self.key).await?
        {
            turn.release().await;
            return Ok(Step::Done(FetchedPage { page, fetched: false }));
        }
        loop {
            let slot = turn.slot(self.time_left());
            let slot = slot.instrument(tracing::error_span!("wait for slot"));
            let began = Instant::now();
            let slot = self.cancel.run_until_cancelled(slot).await;
            if let Some(slot) = &slot {
                timing::waited("slot", slot, began.elapsed());
            }
            match slot {
                Some(Ok(slot)) => {
                    if let Some(on_slot) = self.on_slot.take() {
                        on_slot();
                    }
                    if slot.is_fresh() {
                        break;
                    }
                    tracing::debug!("a slot grew old before its request");
                }
                // The turn is lost already.
                Some(Err(error @ GateError::Storage(_))) => return Err(error.into()),
                Some(Err(error)) => {
                    turn.release().await;
                    return Err(error.into());
                }
                None => {
                    turn.release().await;
                    return Err(FetchError::Cancelled.into());
                }
            }
        }
        let began = Instant::now();
        let arrived_by = pending.arrived_by();
        let span = tracing::error_span!("request to arXiv", otel.kind = "client", otel.status_code = Empty);
        let fetched = self.fetch(&mut turn, pending).instrument(span.clone()).await?;
        if fetched.is_err() {
            span.record("otel.status_code", "ERROR");
        }
        drop(span);
        timing::requested(&fetched, began.elapsed());
        let outcome = outcome(&fetched);
        let step = match fetched {
            Ok(Fetched::Answer(answer)) => self.keep(&mut turn, answer, retries).await,
            Ok(Fetched::Redirect(pending)) => Ok(Step::Again(pending)),
            Err(error) => Err(error.into()),
        };
        let cooling_until = turn
            .finish(outcome, arrived_by.get())
            .await
            .unwrap_or_else(|error| {
                // The request's result stays valid; the slot was moved before the request as well.
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the end of a turn could not be recorded"
                );
                None
            });
        step.map_err(|error| match error {
            UpstreamError::Fetch { source, .. } => UpstreamError::Fetch {
                source,
                cooling_until,
            },
            error => error,
        })
    }

    /// Step 5. When it returns, the request's connection is closed.
    async fn fetch(
        &self,
        turn: &mut GateLease,
        pending: PendingRequest,
    ) -> Result<Result<Fetched, FetchError>, UpstreamError> {
        let cancel = self.cancel.child_token();
        let mut request = std::pin::pin!(self.parts.client.fetch(pending.within(LONGEST_REQUEST), &cancel));
        tokio::select! {
            fetched = &mut request => Ok(fetched),
            error = turn.lost() => {
                cancel.cancel();
                // The outcome is discarded: another process may have sent a request meanwhile.
                drop(request.await);
                Err(UpstreamError::Lost(error))
            }
        }
    }

    /// Step 6.
    async fn keep(
        &self,
        turn: &mut GateLease,
        answer: Answer,
        retries: &mut Retries,
    ) -> Result<Step, UpstreamError> {
        let feed = &answer.feed;
        let mut observation = Observation {
            start: self.request.start,
            entries: feed.entries.len(),
            total: feed.total,
            total_before: None,
            names_papers: !self.request.search.id_list().is_empty(),
        };
        if feed.entries.is_empty() {
            observation.total_before = self.total_before().await?;
        }
        match evaluate(observation, retries) {
            Decision::Keep(keep_for) => {
                // Boxed, as its future is large and would make that of every caller so.
                for defect in &feed.defects {
                    let search = self.request.search.display_query();
                    tracing::warn!(start = self.request.start, "arXiv's answer to {search}: {defect}");
                }
                let (head, papers) = (page_head(&answer), answer.feed.entries);
                let page = Box::pin(self.parts.pages.put(turn, &self.key, head, papers, keep_for)).await?;
                Ok(Step::Done(FetchedPage { page, fetched: true }))
            }
            Decision::FetchAgain => {
                tracing::info!(total = feed.total, "an empty page is fetched again");
                Ok(Step::Again(self.parts.client.pending(&self.request)))
            }
            Decision::Incomplete => Err(FetchError::Incomplete.into()),
        }
    }

    /// The total that the slice before this page reports, if this is a later slice: all slices before it are
    /// full. Those of a run of a feed overlap.
    async fn total_before(&self) -> Result<Option<u32>, UpstreamError> {
        for overlap in [0].into_iter().chain(OVERLAPS) {
            let Some(start) = self.key.start.checked_sub(MAX_PAGE - overlap) else {
                continue;
            };
            let before = PageKey {
                start,
                count: MAX_PAGE,
                ..self.key.clone()
            };
            if let Some(page) = self.parts.pages.get(&before).await? {
                return Ok(Some(page.head.total));
            }
        }
        Ok(None)
    }

    fn time_left(&self) -> Duration {
        self.give_up.saturating_duration_since(Instant::now())
    }
}

/// The outcome of a request, as the gate needs it.
fn outcome(fetched: &Result<Fetched, FetchError>) -> RequestOutcome {
    match fetched.as_ref().map_err(|error| (error, error.class())) {
        Ok(_) | Err((_, FailureClass::Invalid | FailureClass::Broken)) => RequestOutcome::Answered,
        Err((error, FailureClass::Throttled)) => RequestOutcome::Throttled {
            retry_after: error.retry_after(),
        },
        Err((_, FailureClass::Unreachable)) => RequestOutcome::Failed,
    }
}

fn page_head(answer: &Answer) -> PageHead {
    PageHead {
        total: answer.feed.total,
        title: answer.feed.title.clone(),
        date: answer.date,
        status: answer.status,
        defects: answer.feed.defects.iter().map(ToString::to_string).collect(),
    }
}
