//! Single objects for readers: read from Kubernetes at most once in a while for each name, however many clients ask, and
//! for each client at most so often. What the watch reports is read anew at once.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crd::ArxivQuery;
use hashlink::LruCache;
use service::metrics::CacheLookups;
use tokio::{sync::OnceCell, time::Instant};

use crate::{
    error::ApiError,
    jobs::client::Objects,
    limits::{client::Client, rate::RateLimiter},
};

/// How long an object that was read is used, if the watch reports no change: the watch may be late or interrupted.
const TTL: Duration = Duration::from_secs(1);
/// Names that are remembered, with their objects at 1 to 3 kB each.
const MAX_NAMES: usize = 1000;

/// What was read, also that there is nothing; shared by the requests that wait for it.
type Read = Arc<OnceCell<Option<Arc<ArxivQuery>>>>;

/// Reads objects.
pub(crate) struct Lookups {
    objects: Arc<Objects>,
    /// Of the requests of one client to Kubernetes; none for no limit.
    limiter: Option<RateLimiter>,
    recent: Mutex<LruCache<String, (Instant, Read)>>,
    counts: CacheLookups,
}

impl Lookups {
    /// `per_minute`: how many objects a client may have read from Kubernetes; 0 for no limit.
    pub(crate) fn new(objects: Arc<Objects>, per_minute: u32, counts: CacheLookups) -> Arc<Self> {
        // A tenth of a minute at once.
        let limiter = (per_minute > 0).then(|| RateLimiter::new(per_minute, per_minute.div_ceil(10)));
        Arc::new(Self {
            objects,
            limiter,
            recent: Mutex::new(LruCache::new(MAX_NAMES)),
            counts,
        })
    }

    /// The object of this name, if there is one; 429 if this client has had too many read.
    pub(crate) async fn get(&self, client: &Client, name: &str) -> Result<Option<Arc<ArxivQuery>>, ApiError> {
        let read = self.recent(name);
        let reads = AtomicBool::new(false);
        let object = read.get_or_try_init(async || {
            reads.store(true, Ordering::Relaxed);
            if let Some(limiter) = &self.limiter {
                limiter.admit(client.key())?;
            }
            let object = self.objects.get(client, name).await?;
            Ok::<_, ApiError>(object.map(Arc::new))
        });
        let object = object.await;
        self.counts.count(!reads.load(Ordering::Relaxed));
        object.cloned()
    }

    /// The object of this name has changed, or everything may have (`None`).
    pub(crate) fn forget(&self, name: Option<&str>) {
        let mut recent = self.lock();
        match name {
            Some(name) => {
                recent.remove(name);
            }
            None => recent.clear(),
        }
    }

    /// What was read of this name lately, or is being read.
    fn recent(&self, name: &str) -> Read {
        let (mut recent, now) = (self.lock(), Instant::now());
        if let Some((began, read)) = recent.get(name)
            && began.elapsed() < TTL
        {
            return Arc::clone(read);
        }
        let read = Read::default();
        recent.insert(name.to_owned(), (now, Arc::clone(&read)));
        read
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<String, (Instant, Read)>> {
        // No update here can leave the table half done.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
