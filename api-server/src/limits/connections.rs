//! The room for connections. Where it is full, the connection that has waited longest for its next request goes; what
//! clients hold up with slow bodies and unread answers is bounded below that, so that health is always answered.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How many there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Connections at once.
    pub(crate) connections: usize,
    /// Requests at once that are more than a look at this process's health. Fewer than connections: the rest is
    /// where new heads are read.
    pub(crate) requests: usize,
}

/// All connections of this process.
#[derive(Debug)]
pub(crate) struct Seats {
    limits: Limits,
    state: Mutex<State>,
    /// Told when a connection has gone, or waits.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    taken: usize,
    requests: usize,
    /// Connections without a request, the one that is so for the longest time first.
    waiting: BTreeMap<u64, CancellationToken>,
    next_ticket: u64,
    /// One of them was asked to make room, and has not gone yet.
    asked: bool,
}

impl Seats {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            state: Mutex::default(),
            changed: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No update here leaves the state half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A seat for one more connection; makes another one leave if there is none.
    pub(crate) async fn take(self: &Arc<Self>) -> Arc<Seat> {
        loop {
            let changed = self.changed.notified();
            if let Some(seat) = self.try_take() {
                return seat;
            }
            changed.await;
        }
    }

    /// Makes the connection leave that has waited longest for its next request.
    pub(crate) fn make_room(&self) {
        self.state().ask();
    }

    fn try_take(self: &Arc<Self>) -> Option<Arc<Seat>> {
        let mut state = self.state();
        if state.taken >= self.limits.connections {
            if !state.asked {
                state.asked = state.ask();
            }
            return None;
        }
        state.taken += 1;
        state.asked = false;
        let evicted = CancellationToken::new();
        let ticket = state.wait(evicted.clone());
        drop(state);
        Some(Arc::new(Seat {
            seats: Arc::clone(self),
            evicted,
            ticket: Mutex::new(ticket),
        }))
    }
}

impl State {
    /// Asks the one that waits longest to leave, if there is one.
    fn ask(&mut self) -> bool {
        let longest = self.waiting.pop_first();
        longest.inspect(|(_, evicted)| evicted.cancel()).is_some()
    }

    fn wait(&mut self, evicted: CancellationToken) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.waiting.insert(ticket, evicted);
        ticket
    }
}

/// One connection's seat, until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Seats>,
    evicted: CancellationToken,
    /// Its place among those that wait.
    ticket: Mutex<u64>,
}

impl Seat {
    /// Resolves when this connection has to make room.
    pub(crate) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }

    fn ticket(&self) -> MutexGuard<'_, u64> {
        self.ticket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request begins on this connection. `None`: there are too many, unless it is `small`.
    pub(crate) fn request(self: &Arc<Self>, small: bool) -> Option<Held> {
        let ticket = *self.ticket();
        let mut state = self.seats.state();
        if !small {
            if state.requests >= self.seats.limits.requests {
                return None;
            }
            state.requests += 1;
        }
        state.waiting.remove(&ticket);
        drop(state);
        Some(Held {
            seat: Arc::clone(self),
            small,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let ticket = *self.ticket();
        let mut state = self.seats.state();
        state.waiting.remove(&ticket);
        state.taken -= 1;
        drop(state);
        self.seats.changed.notify_one();
    }
}

/// A request, from its head to the last of its answer that was handed over.
#[derive(Debug)]
pub(crate) struct Held {
    seat: Arc<Seat>,
    small: bool,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut ticket = self.seat.ticket();
        let mut state = self.seat.seats.state();
        if !self.small {
            state.requests -= 1;
        }
        *ticket = state.wait(self.seat.evicted.clone());
        drop(state);
        self.seat.seats.changed.notify_one();
    }
}

impl Held {
    /// The body of the answer, which ends the request at its own end.
    pub(crate) fn until_the_end_of(self, body: Body) -> Body {
        Body::new(HeldBody { body, _held: self })
    }
}

struct HeldBody {
    body: Body,
    _held: Held,
}

impl HttpBody for HeldBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use http_body_util::BodyExt;

    use super::*;

    fn seats() -> Arc<Seats> {
        Seats::new(Limits {
            connections: 2,
            requests: 1,
        })
    }

    #[tokio::test]
    async fn whoever_waits_longest_makes_room() {
        let seats = seats();
        let (first, second) = (seats.take().await, seats.take().await);
        // The first one's request is over, so the second one waits for longer.
        drop(first.request(false).unwrap());
        let third = seats.take();
        tokio::pin!(third);
        assert!(third.as_mut().now_or_never().is_none());
        assert!(second.evicted().now_or_never().is_some());
        assert!(first.evicted().now_or_never().is_none());
        drop(second);
        let third = third.await;
        assert!(third.evicted().now_or_never().is_none());
    }

    #[tokio::test]
    async fn who_has_a_request_stays_until_its_answer_is_handed_over() {
        let seats = seats();
        let (first, second) = (seats.take().await, seats.take().await);
        let body = first.request(false).unwrap().until_the_end_of(Body::from("x"));
        assert_eq!(body.size_hint().exact(), Some(1));
        assert!(second.request(false).is_none(), "one at once");
        let small = second.request(true).unwrap();
        assert!(seats.take().now_or_never().is_none());
        assert!(first.evicted().now_or_never().is_none());
        drop(small);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "x");
        assert!(second.request(false).is_some());
    }
}
