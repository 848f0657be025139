//! The one fairness rule of all limits: a client gets at most half of a limit, and at least one unit.
//!
//! Whatever one client leaves unread or unfinished, half of each limit remains for the others. A client that holds its
//! share waits for itself first, and only then for others; requests are served in the order of their arrival.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::client::Client;

/// A counting semaphore that applies the rule.
#[derive(Debug)]
pub(super) struct FairSemaphore {
    size: usize,
    total: Arc<Semaphore>,
    /// What each client may still acquire; an entry exists as long as its client holds something, or waits.
    shares: Mutex<HashMap<Client, Weak<Semaphore>>>,
}

/// Acquired units, released on drop.
#[derive(Debug)]
pub(super) struct Permit {
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

impl FairSemaphore {
    pub(super) fn new(size: usize) -> Self {
        Self {
            size,
            total: Arc::new(Semaphore::new(size)),
            shares: Mutex::default(),
        }
    }

    /// What one client may hold.
    pub(super) fn share(&self) -> usize {
        (self.size / 2).max(1)
    }

    /// The units that are held.
    pub(super) fn used(&self) -> usize {
        self.size.saturating_sub(self.total.available_permits())
    }

    /// Acquires units at once. Only the total applies to work without a client.
    pub(super) fn try_acquire(&self, client: Option<&Client>, units: usize) -> Result<Permit, Exceeded> {
        let units = u32::try_from(units).map_err(|_| Exceeded::Total)?;
        let of_share = match client {
            Some(client) => {
                let permit = self.share_of(client).try_acquire_many_owned(units);
                Some(permit.map_err(|_| Exceeded::Share)?)
            }
            None => None,
        };
        let of_total = Arc::clone(&self.total).try_acquire_many_owned(units);
        let of_total = of_total.map_err(|_| Exceeded::Total)?;
        Ok(Permit { of_share, of_total })
    }

    /// Waits for units: first for the client's share, then for the total.
    pub(super) async fn acquire(&self, client: Option<&Client>, units: usize) -> Option<Permit> {
        let units = u32::try_from(units).ok()?;
        let of_share = match client {
            Some(client) => Some(self.share_of(client).acquire_many_owned(units).await.ok()?),
            None => None,
        };
        let of_total = Arc::clone(&self.total).acquire_many_owned(units).await.ok()?;
        Some(Permit { of_share, of_total })
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

    /// Clients that hold something, or held something when the last client came.
    #[cfg(test)]
    pub(super) fn clients(&self) -> usize {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Permit {
    pub(super) fn units(&self) -> usize {
        self.of_total.num_permits()
    }

    pub(super) fn merge(&mut self, more: Self) {
        match (&mut self.of_share, more.of_share) {
            (Some(share), Some(more)) => share.merge(more),
            (share @ None, more) => *share = more,
            (Some(_), None) => {}
        }
        self.of_total.merge(more.of_total);
    }

    /// Releases some of the units.
    pub(super) fn release(&mut self, units: usize) {
        if let Some(share) = &mut self.of_share {
            drop(share.split(units));
        }
        drop(self.of_total.split(units));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(n: u8) -> Client {
        Client::at([192, 0, 2, n].into())
    }

    #[test]
    fn client_gets_at_most_half_and_at_least_one_unit() {
        for (size, share) in [(1, 1), (2, 1), (3, 1), (4, 2), (100, 50)] {
            let semaphore = FairSemaphore::new(size);
            let held: Vec<_> =
                std::iter::from_fn(|| semaphore.try_acquire(Some(&client(1)), 1).ok()).collect();
            assert_eq!((held.len(), semaphore.used()), (share, share), "{size}");
            assert_eq!(
                semaphore.try_acquire(Some(&client(1)), 1).err(),
                Some(Exceeded::Share)
            );
        }
    }

    #[test]
    fn total_applies_to_all_clients_and_to_work_without_a_client() {
        let semaphore = FairSemaphore::new(4);
        let first = semaphore.try_acquire(Some(&client(1)), 2).unwrap();
        let second = semaphore.try_acquire(None, 2).unwrap();
        assert_eq!(
            semaphore.try_acquire(Some(&client(2)), 1).err(),
            Some(Exceeded::Total)
        );
        assert_eq!(semaphore.try_acquire(None, 1).err(), Some(Exceeded::Total));
        drop(first);
        // The client that was refused by the total holds nothing of its share.
        assert_eq!(semaphore.try_acquire(Some(&client(2)), 2).unwrap().units(), 2);
        drop(second);
        assert_eq!(semaphore.used(), 0);
    }
}
