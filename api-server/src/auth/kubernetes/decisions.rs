//! A cache of decisions. Concurrent callers with the same key share one decision.

use std::{
    hash::Hash,
    sync::atomic::{AtomicBool, Ordering},
};

use moka::{future::Cache, policy::EvictionPolicy};
use service::metrics::CacheLookups;
use tokio::time::Instant;

/// Allowed keys. More than there are connections.
const MAX_ALLOWED: u64 = 4096;
/// Denied keys have a cache of their own, so that a flood of them evicts no allowed key.
const MAX_DENIED: u64 = 1024;

/// A decision, and when it expires.
#[derive(Debug)]
pub(super) struct Decision<V> {
    /// `None` for a denial.
    pub(super) value: Option<V>,
    pub(super) until: Instant,
}

/// Why a key has no allowed value.
enum NotAllowed<E> {
    Denied(Instant),
    Failed(E),
}

/// The cache. The times are checked here, since the library's own expiry does not follow the runtime's clock.
pub(super) struct DecisionCache<K, V> {
    allowed: Cache<K, (V, Instant)>,
    denied: Cache<K, Instant>,
    lookups: CacheLookups,
}

impl<K, V> DecisionCache<K, V>
where
    K: Copy + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(super) fn new(lookups: CacheLookups) -> Self {
        let (allowed, denied) = (Cache::builder(), Cache::builder());
        let lru = EvictionPolicy::lru;
        Self {
            allowed: allowed.max_capacity(MAX_ALLOWED).eviction_policy(lru()).build(),
            denied: denied.max_capacity(MAX_DENIED).eviction_policy(lru()).build(),
            lookups,
        }
    }

    /// The cached decision for this key, or the result of `decide`; `None` for a denial. Of concurrent callers one decides,
    /// and all get its result: one miss, and hits. A failure is not cached. If the caller that decides is cancelled, another one decides.
    pub(super) async fn get<E: Clone + Send + Sync + 'static>(
        &self,
        key: K,
        decide: impl Future<Output = Result<Decision<V>, E>>,
    ) -> Result<Option<V>, E> {
        let now = Instant::now();
        if self.denied.get(&key).await.is_some_and(|until| until > now) {
            self.lookups.count(true);
            return Ok(None);
        }
        let allowed = self.allowed.get(&key).await;
        if allowed.is_some_and(|(_, until)| until <= now) {
            self.allowed.invalidate(&key).await;
        }
        // On the heap: the library's future is large.
        let was_missed = AtomicBool::new(false);
        let decided = Box::pin(self.allowed.try_get_with(key, async {
            was_missed.store(true, Ordering::Relaxed);
            let Decision { value, until } = decide.await.map_err(NotAllowed::Failed)?;
            let value = value.map(|value| (value, until));
            value.ok_or(NotAllowed::Denied(until))
        }));
        let decided = decided.await;
        self.lookups.count(!was_missed.load(Ordering::Relaxed));
        match decided {
            Ok((value, _)) => Ok(Some(value)),
            Err(reason) => match &*reason {
                NotAllowed::Denied(until) => {
                    self.denied.insert(key, *until).await;
                    Ok(None)
                }
                NotAllowed::Failed(error) => Err(error.clone()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, sync::atomic::AtomicU32};

    use futures::future::join_all;
    use service::metrics::{Caches, Metrics};
    use tokio::time::{Duration, advance, sleep};

    use super::*;

    const TTL: Duration = Duration::from_secs(30);

    fn decision<V>(value: Option<V>, ttl: Duration) -> Decision<V> {
        let until = Instant::now() + ttl;
        Decision { value, until }
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_callers_share_one_decision_until_it_expires() {
        let metrics = Metrics::with_prefix("program");
        let lookups = Caches::register(&metrics).of("rights");
        let (cache, decided) = (DecisionCache::<u32, u32>::new(lookups), AtomicU32::new(0));
        let get = async |key: u32, allowed: bool| {
            let decide = async {
                decided.fetch_add(1, Ordering::Relaxed);
                sleep(Duration::from_millis(10)).await;
                Ok::<_, Infallible>(if allowed {
                    decision(Some(key), TTL)
                } else {
                    decision(None, TTL / 6)
                })
            };
            cache.get(key, decide).await.unwrap()
        };
        let all = join_all((0..50).map(|_| get(1, true))).await;
        assert!(all.into_iter().all(|value| value == Some(1)));
        assert_eq!(join_all((0..50).map(|_| get(2, false))).await, vec![None; 50]);
        assert_eq!(decided.load(Ordering::Relaxed), 2);
        // The denial expires first; another decision may follow it.
        advance(TTL / 5).await;
        assert_eq!((get(1, false).await, get(2, true).await), (Some(1), Some(2)));
        assert_eq!(decided.load(Ordering::Relaxed), 3);
        advance(TTL).await;
        assert_eq!(get(1, false).await, None);
        let text = metrics.text().unwrap();
        for (result, count) in [("hit", 99), ("miss", 4)] {
            let line =
                format!("program_cache_lookups_total{{cache=\"rights\",result=\"{result}\"}} {count}\n");
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
    }

    #[tokio::test]
    async fn failure_is_not_cached_and_the_next_caller_decides() {
        let cache = DecisionCache::<u32, u32>::new(CacheLookups::default());
        let failed = async { Err::<Decision<u32>, _>("unavailable") };
        assert_eq!(cache.get(1, failed).await, Err("unavailable"));
        let stuck = cache.get(1, async {
            std::future::pending::<()>().await;
            Err("never")
        });
        let timeout = tokio::time::timeout(Duration::from_millis(1), stuck);
        assert!(timeout.await.is_err());
        let decided = cache.get(1, async { Ok::<_, Infallible>(decision(Some(7), TTL)) });
        assert_eq!(decided.await, Ok(Some(7)));
    }

    #[tokio::test]
    async fn flood_of_denied_keys_evicts_no_allowed_key() {
        let cache = DecisionCache::<usize, u32>::new(CacheLookups::default());
        let allow = async { Ok::<_, Infallible>(decision(Some(7), TTL)) };
        cache.get(usize::MAX, allow).await.unwrap();
        for key in 0..8192 {
            let deny = async { Ok::<_, Infallible>(decision(None, TTL)) };
            assert_eq!(cache.get(key, deny).await, Ok(None));
        }
        let never = async { Err("decided again") };
        assert_eq!(cache.get(usize::MAX, never).await, Ok(Some(7)));
        cache.allowed.run_pending_tasks().await;
        cache.denied.run_pending_tasks().await;
        assert_eq!(
            (cache.allowed.entry_count(), cache.denied.entry_count()),
            (1, MAX_DENIED)
        );
    }
}
