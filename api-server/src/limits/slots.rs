//! Limits of a number of things at once.

use std::sync::Arc;

use tokio::time::timeout;

use crate::limits::{
    client::Client,
    fair::{Exceeded, FairSemaphore, Permit},
    table::LimitSpec,
};

/// A number of slots, shared by all clients of this process.
#[derive(Clone, Debug)]
pub(crate) struct Slots(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: &'static LimitSpec,
    slots: FairSemaphore,
}

/// One slot, released on drop.
#[derive(Debug)]
pub(crate) struct Slot {
    _permit: Permit,
}

impl Slots {
    pub(crate) fn new(limit: &'static LimitSpec) -> Self {
        Self(Arc::new(Inner {
            limit,
            slots: FairSemaphore::new(limit.size.units()),
        }))
    }

    /// The row of the table.
    pub(crate) fn limit(&self) -> &'static LimitSpec {
        self.0.limit
    }

    /// How many slots one client may hold.
    pub(crate) fn share(&self) -> usize {
        self.0.slots.share()
    }

    /// How many slots are held.
    pub(crate) fn used(&self) -> usize {
        self.0.slots.used()
    }

    /// A slot, if there is one now.
    pub(crate) fn try_acquire(&self, client: Option<&Client>) -> Result<Slot, Exceeded> {
        let permit = self.0.slots.try_acquire(client, 1)?;
        Ok(Slot { _permit: permit })
    }

    /// A slot, now or within the limit's waiting time; `None` after that.
    pub(crate) async fn acquire(&self, client: Option<&Client>) -> Option<Slot> {
        if let Ok(slot) = self.try_acquire(client) {
            return Some(slot);
        }
        let permit = timeout(self.0.limit.when_full.wait(), self.0.slots.acquire(client, 1)).await;
        Some(Slot {
            _permit: permit.ok().flatten()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::limits::table;

    fn client(n: u8) -> Client {
        Client::at([192, 0, 2, n].into())
    }

    #[tokio::test(start_paused = true)]
    async fn slot_is_waited_for_within_the_time_of_its_limit() {
        let slots = Slots::new(&table::LONG_BODIES);
        let (one, two) = (client(1), client(2));
        let first = slots.acquire(Some(&one)).await.unwrap();
        assert!(slots.acquire(Some(&two)).await.is_none());
        let mut second = Box::pin(slots.acquire(Some(&two)));
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        assert!(second.await.is_some());
        assert_eq!(slots.used(), 0);
    }
}
