//! The limits of connections and of requests at once. When there are too many connections, the one that has been idle for
//! the longest time is closed. Requests that clients keep open by slow bodies and unread responses have a lower limit, so
//! that health checks always get a response. One peer has at most half of the connections, unless it is a trusted proxy,
//! and one client at most half of the requests.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use axum::body::Body;
use http_body_util::BodyExt;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::limits::{
    client::Client,
    slots::{Slot, Slots},
    table,
};

/// All connections of this process.
#[derive(Debug)]
pub(crate) struct ConnectionLimiter {
    max_connections: usize,
    /// Concurrent requests, without those for this process's health. Fewer than connections: the rest is for reading new
    /// heads.
    requests: Slots,
    state: Mutex<Connections>,
    /// Notified when a connection was closed, or became idle.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Connections {
    open: usize,
    /// How many of them each peer has, of those whose share is limited.
    of_peers: HashMap<Client, usize>,
    /// Connections without a request, the one that has been idle for the longest time first.
    idle: BTreeMap<u64, Idle>,
    next_ticket: u64,
    /// One of them was asked to close, and is still open.
    evicting: bool,
}

/// A connection without a request.
#[derive(Clone, Debug)]
struct Idle {
    evicted: CancellationToken,
    peer: Option<Client>,
}

impl ConnectionLimiter {
    /// With the sizes of the table.
    pub(crate) fn of_process() -> Arc<Self> {
        Self::new(table::CONNECTIONS.size.slots(), Slots::new(&table::REQUESTS))
    }

    fn new(max_connections: usize, requests: Slots) -> Arc<Self> {
        Arc::new(Self {
            max_connections,
            requests,
            state: Mutex::default(),
            changed: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, Connections> {
        // No update here can leave the state half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A slot for one more connection of this peer, or of a trusted proxy if there is none; evicts an idle one if there are
    /// too many. `None` if the peer has its share, and none of its connections is idle.
    pub(crate) async fn accept(self: &Arc<Self>, peer: Option<Client>) -> Option<Arc<ConnectionSlot>> {
        if let Some(peer) = &peer
            && !self.state().has_room_for(peer, self.share())
        {
            return None;
        }
        loop {
            let changed = self.changed.notified();
            if let Some(slot) = self.try_accept(peer.as_ref()) {
                return Some(slot);
            }
            changed.await;
        }
    }

    /// How many connections one peer may have.
    fn share(&self) -> usize {
        (self.max_connections / 2).max(1)
    }

    /// Closes the connection that has been idle for the longest time.
    pub(crate) fn evict_idle(&self) {
        self.state().evict_one();
    }

    fn try_accept(self: &Arc<Self>, peer: Option<&Client>) -> Option<Arc<ConnectionSlot>> {
        let mut state = self.state();
        if state.open >= self.max_connections {
            state.evicting = state.evicting || state.evict_one();
            return None;
        }
        state.open += 1;
        state.evicting = false;
        if let Some(peer) = peer {
            *state.of_peers.entry(peer.clone()).or_default() += 1;
        }
        let idle = Idle {
            evicted: CancellationToken::new(),
            peer: peer.cloned(),
        };
        let ticket = AtomicU64::new(state.mark_idle(&idle));
        drop(state);
        let limiter = Arc::clone(self);
        Some(Arc::new(ConnectionSlot {
            limiter,
            idle,
            ticket,
        }))
    }
}

impl Connections {
    /// Asks the connection that has been idle for the longest time to close, if there is one.
    fn evict_one(&mut self) -> bool {
        let longest = self.idle.pop_first();
        longest.inspect(|(_, idle)| idle.evicted.cancel()).is_some()
    }

    /// Whether one more connection of this peer is within its share, or takes the place of an idle one of the same peer.
    fn has_room_for(&mut self, peer: &Client, share: usize) -> bool {
        if self.of_peers.get(peer).is_none_or(|open| *open < share) {
            return true;
        }
        let own = self
            .idle
            .iter()
            .find(|(_, idle)| idle.peer.as_ref() == Some(peer));
        let own = own.map(|(ticket, _)| *ticket);
        let longest = own.and_then(|ticket| self.idle.remove(&ticket));
        longest.inspect(|idle| idle.evicted.cancel()).is_some()
    }

    fn mark_idle(&mut self, idle: &Idle) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.idle.insert(ticket, idle.clone());
        ticket
    }
}

/// The slot of one connection, released on drop.
#[derive(Debug)]
pub(crate) struct ConnectionSlot {
    limiter: Arc<ConnectionLimiter>,
    /// What there is of it among the idle ones.
    idle: Idle,
    /// Its key among the idle ones; used with the limiter's lock held.
    ticket: AtomicU64,
}

impl ConnectionSlot {
    /// Returns when this connection has to close.
    pub(crate) async fn evicted(&self) {
        self.idle.evicted.cancelled().await;
    }

    /// A request of this client begins on this connection. `None` if there are too many, of all clients or of this one.
    /// Without a client, it does not count.
    pub(crate) fn request(self: &Arc<Self>, client: Option<&Client>) -> Option<RequestPermit> {
        let counted = client.map(|client| self.limiter.requests.try_acquire(Some(client)));
        let counted = counted.transpose().ok()?;
        let mut state = self.limiter.state();
        state.idle.remove(&self.ticket.load(Relaxed));
        drop(state);
        Some(RequestPermit {
            slot: Arc::clone(self),
            _counted: counted,
        })
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut state = self.limiter.state();
        state.idle.remove(&self.ticket.load(Relaxed));
        state.open -= 1;
        if let Some(peer) = &self.idle.peer
            && let Some(open) = state.of_peers.get_mut(peer)
        {
            *open -= 1;
            if *open == 0 {
                state.of_peers.remove(peer);
            }
        }
        drop(state);
        self.limiter.changed.notify_one();
    }
}

/// A request, from its head to the last byte of its response that was handed over.
#[derive(Debug)]
pub(crate) struct RequestPermit {
    slot: Arc<ConnectionSlot>,
    _counted: Option<Slot>,
}

impl Drop for RequestPermit {
    fn drop(&mut self) {
        let mut state = self.slot.limiter.state();
        let ticket = state.mark_idle(&self.slot.idle);
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

    /// Of two connections and 960 requests.
    fn limiter() -> Arc<ConnectionLimiter> {
        ConnectionLimiter::new(2, Slots::new(&table::REQUESTS))
    }

    fn client(n: u8) -> Client {
        Client::at([192, 0, 2, n].into())
    }

    fn is_evicted(slot: &ConnectionSlot) -> bool {
        slot.evicted().now_or_never().is_some()
    }

    #[tokio::test]
    async fn longest_idle_connection_is_evicted_when_the_limit_is_reached() {
        let limiter = limiter();
        let first = limiter.accept(None).await.unwrap();
        let second = limiter.accept(None).await.unwrap();
        // The first one's request is over, so the second one waits for longer.
        drop(first.request(Some(&client(1))).unwrap());
        let third = limiter.accept(None);
        tokio::pin!(third);
        assert!(third.as_mut().now_or_never().is_none());
        assert!(is_evicted(&second) && !is_evicted(&first));
        drop(second);
        let third = third.await.unwrap();
        assert!(!is_evicted(&third));
    }

    #[tokio::test]
    async fn connection_with_a_request_is_not_evicted_until_its_response_is_sent() {
        let limiter = limiter();
        let first = limiter.accept(None).await.unwrap();
        let second = limiter.accept(None).await.unwrap();
        let request = first.request(Some(&client(1))).unwrap();
        let body = request.hold_for_body(Body::from("x"));
        assert_eq!(body.size_hint().exact(), Some(1));
        let exempt = second.request(None).unwrap();
        assert!(limiter.accept(None).now_or_never().is_none());
        assert!(!is_evicted(&first));
        drop(exempt);
        assert_eq!(limiter.requests.used(), 1);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "x");
        assert_eq!(limiter.requests.used(), 0);
    }

    #[tokio::test]
    async fn client_has_at_most_half_of_the_requests() {
        let limiter = limiter();
        let slot = limiter.accept(None).await.unwrap();
        let requests = |n: u8| std::iter::from_fn(|| slot.request(Some(&client(n)))).collect::<Vec<_>>();
        let greedy = requests(1);
        assert_eq!(greedy.len(), 480);
        assert!(slot.request(None).is_some(), "health is answered");
        assert_eq!(requests(2).len(), 480);
        drop(greedy);
        assert_eq!(limiter.requests.used(), 0);
    }

    #[tokio::test]
    async fn peer_has_at_most_half_of_the_connections_unless_it_is_a_trusted_proxy() {
        let limiter = ConnectionLimiter::new(4, Slots::new(&table::REQUESTS));
        let first = limiter.accept(Some(client(1))).await.unwrap();
        let second = limiter.accept(Some(client(1))).await.unwrap();
        let (one, two) = (first.request(Some(&client(1))), second.request(Some(&client(1))));
        assert!(
            limiter.accept(Some(client(1))).await.is_none(),
            "none of its own is idle"
        );
        let other = limiter.accept(Some(client(2))).await.unwrap();
        assert!(limiter.accept(Some(client(1))).await.is_none());
        assert!(!is_evicted(&other));
        drop(two);
        let third = limiter.accept(Some(client(1))).await;
        assert!(third.is_some() && is_evicted(&second) && !is_evicted(&other));
        drop((second, third, first, one));
        drop(other);
        assert!(limiter.state().of_peers.is_empty());
        let mut proxy = Vec::new();
        for _ in 0..4 {
            proxy.push(limiter.accept(None).await);
        }
        assert!(proxy.iter().all(Option::is_some));
    }
}
