//! What was decided a short while ago, and what is being decided: asked once, whoever waits for it.

use std::{
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hashlink::LruCache;
use tokio::{sync::OnceCell, time::Instant};

/// Good ones, and those that are being decided. More than there are connections, so that a flood of bad questions
/// pushes out nobody who is known.
const MAX_ACCEPTED: usize = 4096;
/// Bad ones have a table of their own.
const MAX_REFUSED: usize = 1024;

/// A decision, and how long it holds.
#[derive(Debug)]
pub(super) struct Decision<V> {
    /// `None` for a refusal.
    value: Option<V>,
    until: Instant,
}

impl<V> Decision<V> {
    pub(super) fn allow(value: V, ttl: Duration) -> Self {
        Self {
            value: Some(value),
            until: Instant::now() + ttl,
        }
    }

    /// Held no longer than until then: what it rests on is to be looked at again.
    pub(super) fn until(mut self, end: Instant) -> Self {
        self.until = self.until.min(end);
        self
    }

    pub(super) fn deny(ttl: Duration) -> Self {
        Self {
            value: None,
            until: Instant::now() + ttl,
        }
    }
}

/// One question's place. Empty while it is being decided.
type Slot<V> = Arc<OnceCell<Decision<V>>>;

/// The table.
pub(super) struct DecisionCache<K: Eq + Hash, V>(Mutex<Tables<K, V>>);

struct Tables<K: Eq + Hash, V> {
    accepted: LruCache<K, Slot<V>>,
    refused: LruCache<K, Slot<V>>,
}

impl<K: Copy + Eq + Hash, V: Clone> DecisionCache<K, V> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Tables {
            accepted: LruCache::new(MAX_ACCEPTED),
            refused: LruCache::new(MAX_REFUSED),
        }))
    }

    /// What holds for this key, or what `decide` says. One decides at a time; if it fails or is given up, the next one
    /// who waits decides.
    pub(super) async fn get<E>(
        &self,
        key: K,
        decide: impl Future<Output = Result<Decision<V>, E>>,
    ) -> Result<Option<V>, E> {
        let slot = self.slot(&key);
        let decision = match slot.get_or_try_init(|| decide).await {
            Ok(decision) => decision,
            Err(error) => {
                self.forget(&key, &slot);
                return Err(error);
            }
        };
        if decision.value.is_none() {
            self.refuse(key, &slot);
        }
        Ok(decision.value.clone())
    }

    fn slot(&self, key: &K) -> Slot<V> {
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let holds = |slot: &&Slot<V>| slot.get().is_none_or(|decision| decision.until > now);
        if let Some(slot) = tables.accepted.get(key).filter(holds) {
            return Arc::clone(slot);
        }
        if let Some(slot) = tables.refused.get(key).filter(holds) {
            return Arc::clone(slot);
        }
        let slot = Slot::default();
        tables.refused.remove(key);
        tables.accepted.insert(*key, Arc::clone(&slot));
        slot
    }

    /// Moves a refusal to the others, if it is still there.
    fn refuse(&self, key: K, slot: &Slot<V>) {
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tables
            .accepted
            .peek(&key)
            .is_some_and(|there| Arc::ptr_eq(there, slot))
        {
            tables.accepted.remove(&key);
            tables.refused.insert(key, Arc::clone(slot));
        }
    }

    /// Takes out what was not decided, unless others still wait for it.
    fn forget(&self, key: &K, slot: &Slot<V>) {
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Ours, and the table's.
        let alone = Arc::strong_count(slot) == 2;
        if alone
            && tables
                .accepted
                .peek(key)
                .is_some_and(|there| Arc::ptr_eq(there, slot))
        {
            tables.accepted.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::atomic::{AtomicU32, Ordering},
    };

    use futures::future::join_all;
    use tokio::time::{advance, sleep};

    use super::*;

    const KEPT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn what_is_asked_at_once_is_decided_once_and_kept() {
        let (cache, asked) = (DecisionCache::<u32, u32>::new(), AtomicU32::new(0));
        let get = async |key: u32, good: bool| {
            let decide = async {
                asked.fetch_add(1, Ordering::Relaxed);
                sleep(Duration::from_millis(10)).await;
                Ok::<_, Infallible>(if good {
                    Decision::allow(key, KEPT)
                } else {
                    Decision::deny(KEPT / 6)
                })
            };
            cache.get(key, decide).await.unwrap()
        };
        let all = join_all((0..50).map(|_| get(1, true))).await;
        assert!(all.into_iter().all(|value| value == Some(1)));
        assert_eq!(join_all((0..50).map(|_| get(2, false))).await, vec![None; 50]);
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        // The refusal ends first; another decision may follow it.
        advance(KEPT / 5).await;
        assert_eq!((get(1, false).await, get(2, true).await), (Some(1), Some(2)));
        assert_eq!(asked.load(Ordering::Relaxed), 3);
        advance(KEPT).await;
        assert_eq!(get(1, false).await, None);
    }

    #[tokio::test]
    async fn a_failure_is_not_kept_and_the_next_one_decides() {
        let cache = DecisionCache::<u32, u32>::new();
        assert_eq!(
            cache.get(1, async { Err::<Decision<u32>, _>("away") }).await,
            Err("away")
        );
        assert!(cache.0.lock().unwrap().accepted.is_empty());
        let stuck = cache.get(1, async {
            std::future::pending::<()>().await;
            Err("never")
        });
        assert!(
            tokio::time::timeout(Duration::from_millis(1), stuck)
                .await
                .is_err()
        );
        let decided = cache.get(1, async { Ok::<_, Infallible>(Decision::allow(7, KEPT)) });
        assert_eq!(decided.await, Ok(Some(7)));
    }

    #[tokio::test]
    async fn a_flood_of_bad_ones_pushes_out_nobody() {
        let cache = DecisionCache::<usize, u32>::new();
        let yes = async { Ok::<_, Infallible>(Decision::allow(7, KEPT)) };
        cache.get(usize::MAX, yes).await.unwrap();
        for key in 0..2 * MAX_ACCEPTED {
            let no = async { Ok::<_, Infallible>(Decision::deny(KEPT)) };
            assert_eq!(cache.get(key, no).await, Ok(None));
        }
        let never = async { Err("asked again") };
        assert_eq!(cache.get(usize::MAX, never).await, Ok(Some(7)));
        let tables = cache.0.lock().unwrap();
        assert_eq!((tables.accepted.len(), tables.refused.len()), (1, MAX_REFUSED));
    }
}
