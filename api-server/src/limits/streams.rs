//! How many may follow events at once, in all and of one client.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use prometheus_client::metrics::gauge::Gauge;
use tokio_util::sync::CancellationToken;

use service::metrics::GaugeGuard;

use crate::{error::ApiError, limits::client::Client};

/// Streams at once: a quarter of the connections.
const MAX_STREAMS: usize = 256;

/// The room for streams, and their end.
#[derive(Clone)]
pub(crate) struct Streams {
    taken: Arc<Mutex<Taken>>,
    count: Gauge,
    /// Cancelled when this process is asked to end: every stream ends, and its client connects to another process.
    pub(crate) ending: CancellationToken,
}

#[derive(Default)]
struct Taken {
    in_all: usize,
    by_client: HashMap<Client, usize>,
}

/// One stream's place.
pub(crate) struct StreamPermit {
    taken: Arc<Mutex<Taken>>,
    client: Client,
    _counted: GaugeGuard,
}

impl Streams {
    pub(crate) fn new(count: Gauge, ending: CancellationToken) -> Self {
        Self {
            taken: Arc::default(),
            count,
            ending,
        }
    }

    /// A place for a stream of this client, which must not have as many as are free already: one client gets half of all, and
    /// leaves as many to others (behind a proxy that is not told of, all clients are one); when many follow, each gets less, and
    /// the last places are for those who have none.
    pub(crate) fn enter(&self, client: &Client) -> Result<StreamPermit, ApiError> {
        let mut taken = lock(&self.taken);
        let free = MAX_STREAMS - taken.in_all;
        let own = taken.by_client.get(client).copied().unwrap_or_default();
        if free == 0 {
            return Err(ApiError::too_many_streams(MAX_STREAMS));
        }
        if own >= free {
            return Err(ApiError::too_many_streams_of_client(own));
        }
        taken.in_all += 1;
        taken.by_client.insert(client.clone(), own + 1);
        Ok(StreamPermit {
            taken: Arc::clone(&self.taken),
            client: client.clone(),
            _counted: GaugeGuard::new(&self.count),
        })
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        taken.in_all -= 1;
        let own = taken.by_client.get(&self.client).copied().unwrap_or_default();
        if own > 1 {
            taken.by_client.insert(self.client.clone(), own - 1);
        } else {
            taken.by_client.remove(&self.client);
        }
    }
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    // No update here leaves it half done.
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn client(n: usize) -> Client {
        Client::user(&n.to_string())
    }

    /// As many as the client gets.
    fn all_of(streams: &Streams, client: &Client) -> Vec<StreamPermit> {
        std::iter::from_fn(|| streams.enter(client).ok()).collect()
    }

    #[test]
    fn one_client_leaves_as_much_as_it_takes() {
        let count = Gauge::default();
        let streams = Streams::new(count.clone(), CancellationToken::new());
        let greedy = all_of(&streams, &client(0));
        assert_eq!((greedy.len(), count.get()), (128, 128));
        assert!(
            streams
                .enter(&client(0))
                .is_err_and(|error| error.is(Code::TooManyStreams))
        );
        let other = all_of(&streams, &client(1));
        assert_eq!(other.len(), 64);
        // Everybody gets one as long as there is any.
        let others: Vec<_> = (2..66).map(|n| streams.enter(&client(n)).ok()).collect();
        assert!(others.iter().all(Option::is_some));
        assert!(streams.enter(&client(66)).is_err());
        drop(greedy);
        assert_eq!(all_of(&streams, &client(66)).len(), 64);
        drop((other, others));
        assert_eq!(count.get(), 0);
        assert!(lock(&streams.taken).by_client.is_empty());
    }
}
