//! The limit of connections. When it is reached, the connection that has been idle for the longest time is closed. Requests
//! that clients keep open by slow bodies and unread responses have a lower limit, so that health checks always get a
//! response.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use axum::body::Body;
use http_body_util::BodyExt;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::limits::table;

/// All connections of this process.
#[derive(Debug)]
pub(crate) struct ConnectionLimiter {
    max_connections: usize,
    /// Concurrent requests, without those for this process's health. Fewer than connections: the rest is for reading new
    /// heads.
    max_requests: usize,
    state: Mutex<Connections>,
    /// Notified when a connection was closed, or became idle.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Connections {
    open: usize,
    requests: usize,
    /// Connections without a request, the one that has been idle for the longest time first.
    idle: BTreeMap<u64, CancellationToken>,
    next_ticket: u64,
    /// One of them was asked to close, and is still open.
    evicting: bool,
}

impl ConnectionLimiter {
    /// With the sizes of the table.
    pub(crate) fn of_process() -> Arc<Self> {
        Self::new(table::CONNECTIONS.size.slots(), table::REQUESTS.size.slots())
    }

    fn new(max_connections: usize, max_requests: usize) -> Arc<Self> {
        Arc::new(Self {
            max_connections,
            max_requests,
            state: Mutex::default(),
            changed: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, Connections> {
        // No update here can leave the state half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A slot for one more connection; evicts an idle one if there is none.
    pub(crate) async fn accept(self: &Arc<Self>) -> Arc<ConnectionSlot> {
        loop {
            let changed = self.changed.notified();
            if let Some(slot) = self.try_accept() {
                return slot;
            }
            changed.await;
        }
    }

    /// Closes the connection that has been idle for the longest time.
    pub(crate) fn evict_idle(&self) {
        self.state().evict_one();
    }

    fn try_accept(self: &Arc<Self>) -> Option<Arc<ConnectionSlot>> {
        let mut state = self.state();
        if state.open >= self.max_connections {
            state.evicting = state.evicting || state.evict_one();
            return None;
        }
        state.open += 1;
        state.evicting = false;
        let evicted = CancellationToken::new();
        let ticket = AtomicU64::new(state.mark_idle(&evicted));
        drop(state);
        let limiter = Arc::clone(self);
        Some(Arc::new(ConnectionSlot {
            limiter,
            evicted,
            ticket,
        }))
    }
}

impl Connections {
    /// Asks the connection that has been idle for the longest time to close, if there is one.
    fn evict_one(&mut self) -> bool {
        let longest = self.idle.pop_first();
        longest.inspect(|(_, evicted)| evicted.cancel()).is_some()
    }

    fn mark_idle(&mut self, evicted: &CancellationToken) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.idle.insert(ticket, evicted.clone());
        ticket
    }
}

/// The slot of one connection, released on drop.
#[derive(Debug)]
pub(crate) struct ConnectionSlot {
    limiter: Arc<ConnectionLimiter>,
    /// Cancelled when this connection has to close.
    pub(crate) evicted: CancellationToken,
    /// Its key among the idle ones; used with the limiter's lock held.
    ticket: AtomicU64,
}

impl ConnectionSlot {
    /// A request begins on this connection. `None` if there are too many; an `exempt` request is always permitted.
    pub(crate) fn request(self: &Arc<Self>, exempt: bool) -> Option<RequestPermit> {
        let mut state = self.limiter.state();
        if !exempt && state.requests >= self.limiter.max_requests {
            return None;
        }
        state.requests += usize::from(!exempt);
        state.idle.remove(&self.ticket.load(Relaxed));
        drop(state);
        let slot = Arc::clone(self);
        Some(RequestPermit { slot, exempt })
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut state = self.limiter.state();
        state.idle.remove(&self.ticket.load(Relaxed));
        state.open -= 1;
        drop(state);
        self.limiter.changed.notify_one();
    }
}

/// A request, from its head to the last byte of its response that was handed over.
#[derive(Debug)]
pub(crate) struct RequestPermit {
    slot: Arc<ConnectionSlot>,
    exempt: bool,
}

impl Drop for RequestPermit {
    fn drop(&mut self) {
        let mut state = self.slot.limiter.state();
        state.requests -= usize::from(!self.exempt);
        let ticket = state.mark_idle(&self.slot.evicted);
        self.slot.ticket.store(ticket, Relaxed);
        drop(state);
        self.slot.limiter.changed.notify_one();
    }
}

impl RequestPermit {
    /// The body of the response, which releases the permit when it is dropped.
    pub(crate) fn hold_for_body(self, body: Body) -> Body {
        Body::new(body.map_err(move |error| {
            let _held = &self;
            error
        }))
    }
}

#[cfg(test)]
mod tests {
    use axum::body::HttpBody;
    use futures::FutureExt;

    use super::*;

    fn limiter() -> Arc<ConnectionLimiter> {
        ConnectionLimiter::new(2, 1)
    }

    #[tokio::test]
    async fn longest_idle_connection_is_evicted_when_the_limit_is_reached() {
        let limiter = limiter();
        let (first, second) = (limiter.accept().await, limiter.accept().await);
        // The first one's request is over, so the second one waits for longer.
        drop(first.request(false).unwrap());
        let third = limiter.accept();
        tokio::pin!(third);
        assert!(third.as_mut().now_or_never().is_none());
        assert!(second.evicted.cancelled().now_or_never().is_some());
        assert!(first.evicted.cancelled().now_or_never().is_none());
        drop(second);
        let third = third.await;
        assert!(third.evicted.cancelled().now_or_never().is_none());
    }

    #[tokio::test]
    async fn connection_with_a_request_is_not_evicted_until_its_response_is_sent() {
        let limiter = limiter();
        let (first, second) = (limiter.accept().await, limiter.accept().await);
        let body = first.request(false).unwrap().hold_for_body(Body::from("x"));
        assert_eq!(body.size_hint().exact(), Some(1));
        assert!(second.request(false).is_none(), "one at once");
        let exempt = second.request(true).unwrap();
        assert!(limiter.accept().now_or_never().is_none());
        assert!(first.evicted.cancelled().now_or_never().is_none());
        drop(exempt);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "x");
        assert!(second.request(false).is_some());
    }
}
