//! Identical reads at once are one: whoever asks for a page that somebody waits for a connection with already takes part. A read
//! that was sent takes nobody in any more, so that no answer is older than its question.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};

use crate::{ResultRow, StorageError};

pub(super) type Outcome = Result<Arc<Vec<ResultRow>>, Arc<StorageError>>;
type Read = BoxFuture<'static, Outcome>;
/// Offset and limit.
type Key = (i64, i64);

/// Reads that wait to be sent; never more than there are requests. One whose askers have all gone is dropped with them.
#[derive(Clone, Default)]
pub(super) struct Together {
    waiting: Arc<Mutex<HashMap<Key, WeakShared<Read>>>>,
    joined: Arc<AtomicU64>,
}

impl Together {
    /// Takes part in the read that waits, or makes one. It has to call [`Self::sent`] before it sends anything.
    pub(super) fn join(&self, key: Key, make: impl FnOnce() -> Read) -> Shared<Read> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(read) = waiting.get(&key).and_then(WeakShared::upgrade) {
            self.joined.fetch_add(1, Ordering::Relaxed);
            return read;
        }
        // Those that were given up on are in nobody's way, but should not pile up.
        waiting.retain(|_, read| read.upgrade().is_some());
        let read = make().shared();
        if let Some(weak) = read.downgrade() {
            waiting.insert(key, weak);
        }
        read
    }

    /// How many took part in another's read so far.
    pub(super) fn joined(&self) -> u64 {
        self.joined.load(Ordering::Relaxed)
    }

    /// Nobody takes part in it from here on.
    pub(super) fn sent(&self, key: Key) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.remove(&key);
    }
}

impl fmt::Debug for Together {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Together").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn only_reads_that_were_not_sent_are_shared() {
        let together = Together::default();
        let (connection, sent) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        let make = || {
            let (together, connection, sent) = (together.clone(), Arc::clone(&connection), Arc::clone(&sent));
            async move {
                connection.notified().await;
                together.sent((0, 10));
                sent.fetch_add(1, Ordering::SeqCst);
                connection.notified().await;
                Ok(Arc::new(Vec::new()))
            }
            .boxed()
        };
        let waits = || tokio::spawn(together.join((0, 10), make));
        let first = [waits(), waits()];
        tokio::task::yield_now().await;
        connection.notify_one();
        while sent.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        // It is under way: this one needs an answer of its own.
        let late = waits();
        tokio::task::yield_now().await;
        connection.notify_one();
        for read in first {
            assert!(read.await.unwrap().is_ok());
        }
        connection.notify_one();
        while sent.load(Ordering::SeqCst) == 1 {
            tokio::task::yield_now().await;
        }
        connection.notify_one();
        assert!(late.await.unwrap().is_ok());
        assert_eq!((sent.load(Ordering::SeqCst), together.joined()), (2, 1));
    }

    #[tokio::test]
    async fn a_read_that_nobody_waits_for_is_gone() {
        let together = Together::default();
        drop(together.join((0, 10), || std::future::pending().boxed()));
        let read = together.join((0, 10), || async { Ok(Arc::new(Vec::new())) }.boxed());
        assert!(read.await.is_ok());
    }
}
