//! The memory for responses that clients have not read yet.
//!
//! Memory for a long response is reserved before its rows are read, estimated by their number. It is adjusted to the actual
//! length once the response is written, and released when the last byte is sent: the bytes own their reservation. Short
//! responses are free: their memory is limited by the number of connections, so the usual page never waits for exports of
//! other clients.
//!
//! A request that holds memory never waits for more: it waits once, for all of its estimate. A response that turns out
//! longer than estimated gets more at once, or is refused. (The memory of rows that are being read is limited by the
//! connections to the databases.)

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::{
    error::ApiError,
    limits::{
        client::Client,
        overloaded,
        slots::{Slot, Slots},
        table::LimitSpec,
    },
};

/// Longest response that is free. On as many connections as there may be, 32 MiB.
const FREE_KIB: usize = 32;

/// The budget of one kind of response, shared by all requests.
#[derive(Clone, Debug)]
pub(crate) struct ResponseBudget {
    /// One for each KiB.
    pub(crate) slots: Slots,
    /// The estimate for a row before it is read.
    kib_of_row: usize,
}

/// The memory of one response.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: ResponseBudget,
    client: Client,
    /// `None` for a short response.
    memory: Option<Slot>,
}

impl ResponseBudget {
    pub(crate) fn new(limit: &'static LimitSpec, kib_of_row: usize) -> Self {
        let slots = Slots::new(limit);
        Self { slots, kib_of_row }
    }

    /// Reserves memory for a response of so many rows, before they are read; 503 if responses of others use it for too long.
    pub(crate) async fn reserve(&self, client: &Client, rows: i64) -> Result<Reservation, ApiError> {
        let rows = usize::try_from(rows).unwrap_or_default();
        let kib = self.charged_kib(rows.saturating_mul(self.kib_of_row));
        let memory = match kib {
            0 => None,
            kib => Some(
                self.slots
                    .acquire_many(Some(client), kib)
                    .await
                    .ok_or_else(overloaded)?,
            ),
        };
        Ok(Reservation {
            budget: self.clone(),
            client: client.clone(),
            memory,
        })
    }

    /// What is reserved for a length: nothing for a short response, and for a response that is longer than a client's share
    /// all of the share.
    fn charged_kib(&self, kib: usize) -> usize {
        if kib <= FREE_KIB {
            0
        } else {
            kib.min(self.slots.share())
        }
    }
}

impl Reservation {
    /// The whole response, which from here on holds memory by its length until its last byte is sent.
    pub(crate) fn into_bytes(mut self, text: BytesMut) -> Result<Bytes, ApiError> {
        let kib = self.budget.charged_kib(text.len().div_ceil(1024));
        if kib == 0 {
            return Ok(text.freeze());
        }
        let reserved = self.memory.as_ref().map_or(0, Slot::count);
        if kib > reserved {
            let more = self
                .budget
                .slots
                .try_acquire_many(Some(&self.client), kib - reserved);
            self.memory = Some(Slot::merged(self.memory, more.map_err(|_| overloaded())?));
        } else if let Some(memory) = &mut self.memory {
            memory.release(reserved - kib);
        }
        let text = if text.capacity() > text.len() + text.len() / 4 {
            // The unused capacity is memory too.
            Bytes::copy_from_slice(&text)
        } else {
            text.freeze()
        };
        Ok(Arc::new(self).chunk(text))
    }

    /// A part of a streamed response: it holds the reservation too.
    pub(crate) fn chunk(self: &Arc<Self>, text: Bytes) -> Bytes {
        Bytes::from_owner(ReservedBytes {
            text,
            _reservation: Arc::clone(self),
        })
    }
}

/// Bytes that release their reservation on drop: the server holds them, after the end of their body, until the client has
/// read them.
struct ReservedBytes {
    text: Bytes,
    _reservation: Arc<Reservation>,
}

impl AsRef<[u8]> for ReservedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::{
        error::Code,
        limits::table::{Size, WhenFull},
    };

    /// Two responses of a hundred rows for a client, four in total.
    const LIMIT: LimitSpec = LimitSpec {
        name: "test",
        size: Size::KiB(400),
        reason: "",
        when_full: WhenFull::Wait(5, Code::Overloaded),
        metric: "",
    };

    fn budget() -> ResponseBudget {
        ResponseBudget::new(&LIMIT, 1)
    }

    fn client(n: u8) -> Client {
        Client::at([192, 0, 2, n].into())
    }

    fn text(kib: usize) -> BytesMut {
        BytesMut::from(&*vec![b'x'; kib * 1024])
    }

    fn free(budget: &ResponseBudget) -> usize {
        400 - budget.slots.used()
    }

    #[tokio::test]
    async fn short_response_reserves_nothing() {
        let budget = budget();
        let reservation = budget.reserve(&client(1), 32).await.unwrap();
        assert_eq!(free(&budget), 400);
        let held = reservation.into_bytes(text(32)).unwrap();
        assert_eq!((free(&budget), held.len()), (400, 32 * 1024));
        assert!(budget.slots.clients() == 0);
    }

    #[tokio::test]
    async fn response_holds_memory_by_its_length_until_its_bytes_are_dropped() {
        let budget = budget();
        for (rows, length, paid) in [
            (100, 60, 60),
            (100, 140, 140),
            (10, 50, 50),
            (100, 20, 0),
            (100, 900, 200),
        ] {
            let reservation = budget.reserve(&client(1), rows).await.unwrap();
            let held = reservation.into_bytes(text(length)).unwrap();
            assert_eq!(held.len(), length * 1024);
            let end = held.slice(1..);
            drop(held);
            assert_eq!(400 - free(&budget), paid, "{rows} rows, {length} KiB");
            drop(end);
            assert_eq!(free(&budget), 400);
        }
        let reservation = Arc::new(budget.reserve(&client(1), 100).await.unwrap());
        let chunk = reservation.chunk(text(10).freeze());
        drop(reservation);
        assert_eq!((free(&budget), chunk.len()), (300, 10 * 1024));
        drop(chunk);
        assert_eq!((free(&budget), budget.slots.used()), (400, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn one_client_leaves_half_of_the_budget_to_others() {
        let budget = budget();
        let (greedy, other, third) = (client(1), client(2), client(3));
        let first = budget.reserve(&greedy, 100).await.unwrap();
        let second = budget.reserve(&greedy, 100).await.unwrap();
        // It waits for its own share, and nobody waits for it.
        let mut waiting = Box::pin(budget.reserve(&greedy, 100));
        assert!(waiting.as_mut().now_or_never().is_none());
        let others = [
            budget.reserve(&other, 100).now_or_never().unwrap().unwrap(),
            budget.reserve(&third, 100).now_or_never().unwrap().unwrap(),
        ];
        drop(first);
        drop(waiting.await.unwrap());
        // Now it is full for everybody.
        let _fourth = budget.reserve(&other, 100).await.unwrap();
        let error = budget.reserve(&third, 100).await.unwrap_err();
        assert!(error.is(Code::Overloaded));
        assert!(budget.reserve(&third, 10).await.is_ok(), "a short one");
        let longer = budget.reserve(&third, 10).await.unwrap().into_bytes(text(50));
        assert!(
            longer.unwrap_err().is(Code::Overloaded),
            "it turned out a long one"
        );
        drop((second, others));
        assert!(budget.reserve(&third, 100).await.is_ok());
        assert_eq!(free(&budget), 300);
    }

    #[tokio::test(start_paused = true)]
    async fn refused_response_releases_its_reservation() {
        let budget = budget();
        let mut held = Vec::new();
        for n in 1..=4 {
            held.push(budget.reserve(&client(n), 100).await.unwrap());
        }
        // Its share is free, the total is not.
        assert!(budget.reserve(&client(5), 100).await.is_err());
        // Too long now for what is left.
        let reservation = held.pop().unwrap();
        assert!(reservation.into_bytes(text(150)).is_err());
        assert_eq!(free(&budget), 100);
        drop(held);
        assert_eq!(free(&budget), 400);
        drop(budget.reserve(&client(6), 100).await.unwrap());
        assert!(budget.slots.clients() <= 1, "idle clients are removed");
    }
}
