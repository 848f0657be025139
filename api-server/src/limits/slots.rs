//! The type of all limits, with their one fairness rule: a client gets at most half of a limit, and at least one slot.
//!
//! Whatever one client leaves unread or unfinished, half of each limit remains for the others. A client that holds its
//! share waits for itself first, and only then for others; requests are served in the order of their arrival.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::limits::{client::Client, table::LimitSpec};

/// A limit in slots: things at once, or KiB of memory. Clones share the slots.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    pub(crate) limit: &'static LimitSpec,
    total: Arc<Semaphore>,
    /// What each client may still acquire; an entry exists as long as its client holds something, or waits.
    shares: Arc<Mutex<HashMap<Client, Weak<Semaphore>>>>,
}

/// Acquired slots, released on drop.
#[derive(Debug)]
pub(crate) struct Slot {
    /// `None` without a client.
    of_share: Option<OwnedSemaphorePermit>,
    of_total: OwnedSemaphorePermit,
}

/// Why nothing was acquired.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Exceeded {
    /// The limit is used up by all clients together.
    Total,
    /// The client holds its share.
    Share,
}

impl Slots {
    pub(crate) fn new(limit: &'static LimitSpec) -> Self {
        Self {
            limit,
            total: Arc::new(Semaphore::new(limit.size.slots())),
            shares: Arc::default(),
        }
    }

    pub(crate) fn size(&self) -> usize {
        self.limit.size.slots()
    }

    /// What one client may hold.
    pub(crate) fn share(&self) -> usize {
        (self.size() / 2).max(1)
    }

    /// The slots that are held.
    pub(crate) fn used(&self) -> usize {
        self.size().saturating_sub(self.total.available_permits())
    }

    /// A slot, if there is one now. Only the total applies to work without a client.
    pub(crate) fn try_acquire(&self, client: Option<&Client>) -> Result<Slot, Exceeded> {
        self.try_acquire_many(client, 1)
    }

    /// A slot, now or within the limit's waiting time; `None` after that.
    pub(crate) async fn acquire(&self, client: Option<&Client>) -> Option<Slot> {
        self.acquire_many(client, 1).await
    }

    pub(super) fn try_acquire_many(&self, client: Option<&Client>, slots: usize) -> Result<Slot, Exceeded> {
        let slots = u32::try_from(slots).map_err(|_| Exceeded::Total)?;
        let of_share = client.map(|client| self.share_of(client).try_acquire_many_owned(slots));
        let of_share = of_share.transpose().map_err(|_| Exceeded::Share)?;
        let of_total = Arc::clone(&self.total).try_acquire_many_owned(slots);
        let of_total = of_total.map_err(|_| Exceeded::Total)?;
        Ok(Slot { of_share, of_total })
    }

    pub(super) async fn acquire_many(&self, client: Option<&Client>, slots: usize) -> Option<Slot> {
        if let Ok(slot) = self.try_acquire_many(client, slots) {
            return Some(slot);
        }
        let slots = u32::try_from(slots).ok()?;
        let waiting = async {
            let of_share = match client {
                Some(client) => Some(self.share_of(client).acquire_many_owned(slots).await.ok()?),
                None => None,
            };
            let of_total = Arc::clone(&self.total).acquire_many_owned(slots).await.ok()?;
            Some(Slot { of_share, of_total })
        };
        timeout(self.limit.when_full.wait(), waiting).await.ok()?
    }

    fn share_of(&self, client: &Client) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(client).and_then(Weak::upgrade) {
            return share;
        }
        // Removes clients that hold nothing any more: there are never more entries than requests.
        shares.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Semaphore::new(self.share()));
        shares.insert(client.clone(), Arc::downgrade(&share));
        share
    }
}

impl Slot {
    /// How many it has.
    pub(super) fn count(&self) -> usize {
        self.of_total.num_permits()
    }

    /// Both together.
    pub(super) fn merged(first: Option<Self>, mut more: Self) -> Self {
        if let Some(first) = first {
            match (&mut more.of_share, first.of_share) {
                (Some(share), Some(first)) => share.merge(first),
                (share, first) => *share = share.take().or(first),
            }
            more.of_total.merge(first.of_total);
        }
        more
    }

    /// Releases some of them.
    pub(super) fn release(&mut self, slots: usize) {
        if let Some(share) = &mut self.of_share {
            drop(share.split(slots));
        }
        drop(self.of_total.split(slots));
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::limits::table::{self, Size, WhenFull};

    impl Slots {
        /// Clients that hold something, or held something when the last client came.
        pub(in crate::limits) fn clients(&self) -> usize {
            self.shares.lock().unwrap().len()
        }
    }

    fn client(n: u8) -> Client {
        Client::at([192, 0, 2, n].into())
    }

    fn of_size(size: usize) -> &'static LimitSpec {
        Box::leak(Box::new(LimitSpec {
            name: "test",
            size: Size::Count(size),
            reason: "",
            when_full: WhenFull::Other(""),
            metric: "",
        }))
    }

    #[test]
    fn client_gets_at_most_half_and_at_least_one_slot() {
        for (size, share) in [(1, 1), (2, 1), (3, 1), (4, 2), (100, 50)] {
            let slots = Slots::new(of_size(size));
            let held: Vec<_> = std::iter::from_fn(|| slots.try_acquire(Some(&client(1))).ok()).collect();
            assert_eq!((held.len(), slots.used()), (share, share), "{size}");
            assert_eq!(slots.try_acquire(Some(&client(1))).err(), Some(Exceeded::Share));
        }
    }

    #[test]
    fn total_applies_to_all_clients_and_to_work_without_a_client() {
        let slots = Slots::new(of_size(4));
        let first = slots.try_acquire_many(Some(&client(1)), 2).unwrap();
        let second = slots.try_acquire_many(None, 2).unwrap();
        assert_eq!(
            slots.try_acquire_many(Some(&client(2)), 1).err(),
            Some(Exceeded::Total)
        );
        assert_eq!(slots.try_acquire_many(None, 1).err(), Some(Exceeded::Total));
        drop(first);
        // The client that was refused by the total holds nothing of its share.
        assert_eq!(slots.try_acquire_many(Some(&client(2)), 2).unwrap().count(), 2);
        drop(second);
        assert_eq!(slots.used(), 0);
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
