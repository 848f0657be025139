//! Operations for several callers at once: those that arrive while others are served are served by the next operation.
//!
//! Nobody waits for others whose requests have not arrived. Places are few, since an operation for two costs little more than for
//! one; more are given where operations take long, so that one that hangs does not hold up every caller.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::oneshot,
    time::{Instant, timeout, timeout_at},
};

use super::pool::OPERATION_TIMEOUT;
use crate::StorageError;

/// How long a caller waits before it asks for one more place: longer than nearly all operations take.
const PATIENCE: Duration = Duration::from_millis(100);

/// An operation that serves several callers.
pub(crate) trait Work: Send + Sync + 'static {
    /// What a caller brings.
    type Item: Send;
    /// What it gets.
    type Answer: Send;
    /// The most callers that one operation serves.
    const MAX_BATCH: usize;
    /// Operations at once.
    const PLACES: usize;
    /// The same, where they take long.
    const MOST_PLACES: usize;

    /// An answer for each of these, in their order.
    fn serve(
        &self,
        items: Vec<Self::Item>,
    ) -> impl Future<Output = Result<Vec<Self::Answer>, StorageError>> + Send;
}

/// The callers of such an operation.
pub(crate) struct Batches<W: Work>(Arc<Shared<W>>);

struct Shared<W: Work> {
    work: W,
    state: Mutex<State<W>>,
}

struct State<W: Work> {
    /// In the order of their arrival.
    waiting: Vec<(W::Item, oneshot::Sender<Turn<W>>)>,
    running: usize,
}

/// What comes of waiting.
pub(crate) enum Turn<W: Work> {
    /// The caller, who gets back what it brought, serves itself, and keeps the place meanwhile.
    Alone(Place<W>, W::Item),
    /// It was served together with others.
    Served(Result<W::Answer, StorageError>),
}

/// The right to one of the operations at once. Dropped, it goes on to those that wait.
pub(crate) struct Place<W: Work> {
    shared: Arc<Shared<W>>,
    /// It is on its way to those that wait. If it never gets there, the runtime has ended.
    goes_on: bool,
}

impl<W: Work> Batches<W> {
    pub(crate) fn new(work: W) -> Self {
        let state = State {
            waiting: Vec::new(),
            running: 0,
        };
        Self(Arc::new(Shared {
            work,
            state: Mutex::new(state),
        }))
    }

    /// A place, if one is free.
    pub(crate) fn enter(&self) -> Option<Place<W>> {
        self.0.place(&mut self.0.lock(), W::PLACES)
    }

    /// Waits for a place or for an answer, a limited time. A caller that finds a free place gets it at once.
    pub(crate) async fn join(&self, item: W::Item) -> Turn<W> {
        let reply = {
            let mut state = self.0.lock();
            if let Some(place) = self.0.place(&mut state, W::PLACES) {
                return Turn::Alone(place, item);
            }
            state.queue(item)
        };
        self.wait(reply).await
    }

    async fn wait(&self, mut reply: oneshot::Receiver<Turn<W>>) -> Turn<W> {
        let deadline = Instant::now() + OPERATION_TIMEOUT;
        let turn = if let Ok(turn) = timeout(PATIENCE, &mut reply).await {
            Ok(turn)
        } else {
            // It goes to those that wait, of whom this caller may be one.
            let place = self.0.place(&mut self.0.lock(), W::MOST_PLACES);
            drop(place);
            timeout_at(deadline, reply).await
        };
        match turn {
            Ok(Ok(turn)) => turn,
            // Without a reply only when the process ends.
            Ok(Err(_)) | Err(_) => Turn::Served(Err(StorageError::TimedOut)),
        }
    }

    /// The answer for this caller, where one alone is served as several are: together with all whose requests have arrived already.
    pub(crate) async fn run(&self, item: W::Item) -> Result<W::Answer, StorageError> {
        let (reply, place) = {
            let mut state = self.0.lock();
            (state.queue(item), self.0.place(&mut state, W::PLACES))
        };
        drop(place);
        match self.wait(reply).await {
            Turn::Alone(_place, item) => {
                let mut answers = self.0.work.serve(vec![item]).await?;
                answers.pop().ok_or(StorageError::Unreadable)
            }
            Turn::Served(answer) => answer,
        }
    }
}

impl<W: Work> State<W> {
    /// Puts a caller at the end of those that wait.
    fn queue(&mut self, item: W::Item) -> oneshot::Receiver<Turn<W>> {
        let (sender, reply) = oneshot::channel();
        self.waiting.push((item, sender));
        reply
    }
}

impl<W: Work> Shared<W> {
    /// A place, if not so many are taken.
    fn place(self: &Arc<Self>, state: &mut State<W>, places: usize) -> Option<Place<W>> {
        (state.running < places).then(|| {
            state.running += 1;
            Place {
                shared: Arc::clone(self),
                goes_on: false,
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Work> Drop for Place<W> {
    fn drop(&mut self) {
        let next = {
            let mut state = self.shared.lock();
            let runtime = Handle::try_current().ok();
            let runtime = runtime.filter(|_| !self.goes_on && !state.waiting.is_empty());
            if runtime.is_none() {
                state.running -= 1;
            }
            runtime
        };
        if let Some(runtime) = next {
            let place = Self {
                shared: Arc::clone(&self.shared),
                goes_on: true,
            };
            // A task of its own: each caller may give up, and the others still wait.
            runtime.spawn(place.serve());
        }
    }
}

impl<W: Work> Place<W> {
    async fn serve(mut self) {
        // Other tasks run first, among them those whose requests have arrived: then one operation is for all of them.
        tokio::task::yield_now().await;
        self.goes_on = false;
        let mut waiting = {
            let mut state = self.shared.lock();
            state.waiting.retain(|(_, reply)| !reply.is_closed());
            let count = state.waiting.len().min(W::MAX_BATCH);
            state.waiting.drain(..count).collect::<Vec<_>>()
        };
        if waiting.len() <= 1 {
            if let Some((item, reply)) = waiting.pop() {
                // If the caller has given up meanwhile, the place goes on as it is dropped here.
                let _ = reply.send(Turn::Alone(self, item));
            }
            return;
        }
        let (items, replies): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        match self.shared.work.serve(items).await {
            Ok(answers) => {
                for (reply, answer) in replies.into_iter().zip(answers) {
                    let _ = reply.send(Turn::Served(Ok(answer)));
                }
            }
            Err(error) => {
                for reply in replies {
                    let _ = reply.send(Turn::Served(Err(error.clone())));
                }
            }
        }
    }
}

impl<W: Work> Clone for Batches<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<W: Work> fmt::Debug for Batches<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batches").finish_non_exhaustive()
    }
}
