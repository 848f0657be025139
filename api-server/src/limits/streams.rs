//! The event streams of this process, and their end.

use tokio_util::sync::CancellationToken;

use crate::{
    error::{ApiError, Code},
    limits::{
        client::Client,
        slots::{Exceeded, Slot, Slots},
    },
};

/// Admits event streams.
#[derive(Clone)]
pub(crate) struct StreamLimiter {
    slots: Slots,
    /// Cancelled when this process shuts down: every stream ends, and its client connects to another process.
    pub(crate) ending: CancellationToken,
}

impl StreamLimiter {
    pub(crate) fn new(slots: Slots, ending: CancellationToken) -> Self {
        Self { slots, ending }
    }

    /// A slot for a stream of this client; 429 if there is none.
    pub(crate) fn acquire(&self, client: &Client) -> Result<Slot, ApiError> {
        self.slots.try_acquire(Some(client)).map_err(|exceeded| {
            let (text, name, most) = match exceeded {
                Exceeded::Total => ("Too many clients follow events", "streams", self.slots.size()),
                Exceeded::Share => (
                    "You follow too many events at once",
                    "streams-of-client",
                    self.slots.share(),
                ),
            };
            ApiError::too_many(Code::TooManyStreams, text, name, most)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::table;

    fn client(n: usize) -> Client {
        Client::user(&n.to_string())
    }

    /// As many as the client gets.
    fn all_of(streams: &StreamLimiter, client: &Client) -> Vec<Slot> {
        std::iter::from_fn(|| streams.acquire(client).ok()).collect()
    }

    #[test]
    fn client_gets_at_most_half_of_the_streams() {
        let slots = Slots::new(&table::STREAMS);
        let streams = StreamLimiter::new(slots.clone(), CancellationToken::new());
        let greedy = all_of(&streams, &client(0));
        assert_eq!((greedy.len(), slots.used()), (128, 128));
        let refused = streams.acquire(&client(0));
        assert!(refused.is_err_and(|error| error.is(Code::TooManyStreams)));
        let others: Vec<_> = (1..129).map(|n| streams.acquire(&client(n)).ok()).collect();
        assert!(others.iter().all(Option::is_some));
        assert!(streams.acquire(&client(129)).is_err());
        drop(greedy);
        assert_eq!(all_of(&streams, &client(129)).len(), 128);
        drop(others);
        assert_eq!(slots.used(), 0);
    }
}
