//! Operations for several callers at once: those that arrive while others are served are served by the next operation.
//!
//! Few operations run at once, and each may wait some milliseconds for further callers, since one for two callers costs little more
//! than one for a single caller. More run where they take long, so that one that hangs does not hold up every caller.

mod linger;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot},
    time::{Instant, timeout, timeout_at},
};

use self::linger::Linger;
use super::pool::OPERATION_TIMEOUT;
use crate::StorageError;

/// How long operations that take milliseconds themselves wait for further callers. A search passes three of them; where so many
/// come that somebody joins, it takes much longer than that.
pub(crate) const LINGER: Duration = Duration::from_millis(5);
/// How long a caller waits before one more operation may run: longer than nearly all operations take.
const LONG_WAIT: Duration = Duration::from_millis(100);

/// An operation that serves several callers.
pub(crate) trait Work: Send + Sync + 'static {
    /// What a caller brings.
    type Item: Send;
    /// What it gets.
    type Answer: Send;
    /// The most callers that one operation serves.
    const MAX_BATCH: usize;
    /// Operations at once.
    const CONCURRENCY: usize;
    /// The same, where they take long.
    const MAX_CONCURRENCY: usize;
    /// How long an operation waits for further callers, if they come close together.
    const LINGER: Duration;

    /// An answer for each of these, in their order.
    fn serve(
        &self,
        items: Vec<Self::Item>,
    ) -> impl Future<Output = Result<Vec<Self::Answer>, StorageError>> + Send;
}

/// The callers of such an operation.
pub(crate) struct Batcher<W: Work>(Arc<Shared<W>>);

struct Shared<W: Work> {
    work: W,
    state: Mutex<State<W>>,
    /// As many wait as one operation serves.
    is_full: Notify,
}

struct State<W: Work> {
    /// In the order of their arrival.
    waiting: Vec<(W::Item, oneshot::Sender<Outcome<W>>)>,
    running: usize,
    linger: Linger,
}

/// What comes of waiting.
pub(crate) enum Outcome<W: Work> {
    /// The caller, who gets back what it brought, serves itself, and keeps the permit meanwhile.
    Alone(Permit<W>, W::Item),
    /// It was served together with others.
    Served(Result<W::Answer, StorageError>),
}

/// The right to one of the operations at once. Dropped, it goes on to those that wait.
pub(crate) struct Permit<W: Work> {
    shared: Arc<Shared<W>>,
    /// It is on its way to those that wait. If it never gets there, the runtime has ended.
    handed_over: bool,
}

impl<W: Work> Batcher<W> {
    pub(crate) fn new(work: W) -> Self {
        let state = State {
            waiting: Vec::new(),
            running: 0,
            linger: Linger::default(),
        };
        Self(Arc::new(Shared {
            work,
            state: Mutex::new(state),
            is_full: Notify::new(),
        }))
    }

    /// Waits for a permit or for an answer, a limited time, together with all who come meanwhile.
    pub(crate) async fn join(&self, item: W::Item) -> Outcome<W> {
        let deadline = Instant::now() + OPERATION_TIMEOUT;
        let (sender, mut reply) = oneshot::channel();
        let permit = {
            let mut state = self.0.lock();
            state.waiting.push((item, sender));
            if state.waiting.len() == W::MAX_BATCH {
                self.0.is_full.notify_one();
            }
            self.0.permit(&mut state, W::CONCURRENCY)
        };
        // It goes to those that wait, this caller among them.
        drop(permit);
        let outcome = if let Ok(outcome) = timeout(LONG_WAIT, &mut reply).await {
            Ok(outcome)
        } else {
            let permit = self.0.permit(&mut self.0.lock(), W::MAX_CONCURRENCY);
            drop(permit);
            timeout_at(deadline, reply).await
        };
        match outcome {
            Ok(Ok(outcome)) => outcome,
            // Without a reply only when the process ends.
            Ok(Err(_)) | Err(_) => Outcome::Served(Err(StorageError::TimedOut)),
        }
    }

    /// The answer for this caller, where one alone is served as several are.
    pub(crate) async fn run(&self, item: W::Item) -> Result<W::Answer, StorageError> {
        match self.join(item).await {
            Outcome::Alone(_permit, item) => {
                let mut answers = self.0.work.serve(vec![item]).await?;
                answers.pop().ok_or(StorageError::Unreadable)
            }
            Outcome::Served(answer) => answer,
        }
    }
}

impl<W: Work> Shared<W> {
    /// A permit, if not so many are taken.
    fn permit(self: &Arc<Self>, state: &mut State<W>, permits: usize) -> Option<Permit<W>> {
        (state.running < permits).then(|| {
            state.running += 1;
            Permit {
                shared: Arc::clone(self),
                handed_over: false,
            }
        })
    }

    /// Waits a moment for further callers, if that is worth it.
    async fn linger(&self) {
        let before = {
            let mut state = self.lock();
            let is_due = state.waiting.len() < W::MAX_BATCH && state.linger.is_due();
            if W::LINGER.is_zero() || !is_due {
                return;
            }
            state.waiting.len()
        };
        // A notification may be one of an operation before.
        let full = async {
            while self.lock().waiting.len() < W::MAX_BATCH {
                self.is_full.notified().await;
            }
        };
        let _ = timeout(W::LINGER, full).await;
        let mut state = self.lock();
        let somebody_came = state.waiting.len() > before;
        state.linger.waited(somebody_came);
    }

    fn lock(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Work> Drop for Permit<W> {
    fn drop(&mut self) {
        let next = {
            let mut state = self.shared.lock();
            let runtime = Handle::try_current().ok();
            let runtime = runtime.filter(|_| !self.handed_over && !state.waiting.is_empty());
            if runtime.is_none() {
                state.running -= 1;
            }
            runtime
        };
        if let Some(runtime) = next {
            let permit = Self {
                shared: Arc::clone(&self.shared),
                handed_over: true,
            };
            // A task of its own: each caller may give up, and the others still wait.
            runtime.spawn(permit.serve());
        }
    }
}

impl<W: Work> Permit<W> {
    async fn serve(mut self) {
        // Other tasks run first, among them those whose requests have arrived: then one operation is for all of them.
        tokio::task::yield_now().await;
        self.shared.linger().await;
        self.handed_over = false;
        let mut waiting = {
            let mut state = self.shared.lock();
            state.waiting.retain(|(_, reply)| !reply.is_closed());
            let count = state.waiting.len().min(W::MAX_BATCH);
            state.waiting.drain(..count).collect::<Vec<_>>()
        };
        if waiting.len() <= 1 {
            if let Some((item, reply)) = waiting.pop() {
                // If the caller has given up meanwhile, the permit goes on as it is dropped here.
                let _ = reply.send(Outcome::Alone(self, item));
            }
            return;
        }
        let (items, replies): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        match self.shared.work.serve(items).await {
            Ok(answers) => {
                for (reply, answer) in replies.into_iter().zip(answers) {
                    let _ = reply.send(Outcome::Served(Ok(answer)));
                }
            }
            Err(error) => {
                for reply in replies {
                    let _ = reply.send(Outcome::Served(Err(error.clone())));
                }
            }
        }
    }
}

impl<W: Work> Clone for Batcher<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<W: Work> fmt::Debug for Batcher<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batcher").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
