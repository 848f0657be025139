//! Rates of each client, of searches and of lookups: one token bucket for each client, in a table of limited size. A search
//! takes one token for each request to arXiv that it needs.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hashlink::LruCache;
use http::HeaderMap;
use service::token_bucket::TokenRate;
use tokio::time::Instant;

use crate::{
    error::{ApiError, Code, whole_seconds},
    limits::headers::append,
};

const RATE_LIMITED: &str = "Too many requests of this kind from this client, try again later";

/// Clients in the table, at some 100 bytes each. If more come, the least recently seen is removed, and has a full bucket
/// when it comes again.
const MAX_CLIENTS: usize = 10_000;

/// One bucket for each client: it holds `burst` tokens, and gets one more each interval.
pub(crate) struct RateLimiter {
    rate: TokenRate,
    policy: String,
    /// When each client's bucket is full again; in the past if it is full.
    full_at: Mutex<LruCache<String, Instant>>,
}

/// The state of a client's bucket after a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Bucket {
    /// The number of tokens left.
    left: u32,
    /// Until there is a token, if none is left; else until the bucket is full.
    pub(crate) reset: Duration,
}

impl Bucket {
    /// 429: there are too few tokens in it.
    fn exceeded(self) -> ApiError {
        ApiError::new(Code::ClientRateLimited, RATE_LIMITED).retry_after(self.reset)
    }
}

/// What one request takes from the bucket of its client; in the request's extensions. Clones are the same.
#[derive(Clone)]
pub(crate) struct Charge {
    limiter: Arc<RateLimiter>,
    client: String,
    bucket: Arc<Mutex<Bucket>>,
}

impl Charge {
    /// One token of this client, before the request is read; and 429 if there is none.
    pub(crate) fn new(limiter: &Arc<RateLimiter>, client: &str) -> (Self, Result<(), ApiError>) {
        let taken = limiter.take(client, Instant::now());
        let (Ok(bucket) | Err(bucket)) = taken;
        let charge = Self {
            limiter: Arc::clone(limiter),
            client: client.to_owned(),
            bucket: Arc::new(Mutex::new(bucket)),
        };
        (charge, taken.map(|_| ()).map_err(Bucket::exceeded))
    }

    /// The other tokens of a search that needs so many requests to arXiv; 429 if there are not enough.
    pub(crate) fn take_rest(&self, requests: u32) -> Result<(), ApiError> {
        let more = requests.saturating_sub(1);
        if more == 0 {
            return Ok(());
        }
        let taken = self.limiter.take_more(&self.client, more, Instant::now());
        let (Ok(bucket) | Err(bucket)) = taken;
        *self.bucket.lock().unwrap_or_else(PoisonError::into_inner) = bucket;
        taken.map(|_| ()).map_err(Bucket::exceeded)
    }

    /// Adds the headers that report the bucket as it was after the request.
    pub(crate) fn add_headers(&self, headers: &mut HeaderMap) {
        let bucket = *self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        self.limiter.add_headers(bucket, headers);
    }
}

impl RateLimiter {
    /// `per_minute` and `burst` are at least 1.
    pub(crate) fn new(per_minute: u32, burst: u32) -> Self {
        let (interval, burst) = (Duration::from_mins(1) / per_minute.max(1), burst.max(1));
        let window = whole_seconds(interval.saturating_mul(burst)).max(1);
        Self {
            rate: TokenRate { burst, interval },
            policy: format!("\"client\";q={burst};w={window}"),
            full_at: Mutex::new(LruCache::new(MAX_CLIENTS)),
        }
    }

    /// Takes one of this client's tokens; 429 if there is none.
    pub(crate) fn admit(&self, client: &str) -> Result<(), ApiError> {
        let taken = self.take(client, Instant::now());
        taken.map(|_| ()).map_err(Bucket::exceeded)
    }

    /// Takes one of this client's tokens; an error if there is none.
    fn take(&self, client: &str, now: Instant) -> Result<Bucket, Bucket> {
        let mut table = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = self.rate.take(table.get(client).copied(), now);
        let taken = taken.map_err(|reset| Bucket { left: 0, reset })?;
        table.insert(client.to_owned(), taken);
        Ok(self.bucket(taken.duration_since(now)))
    }

    /// Takes more of this client's tokens for the request that took one before. A request that needs more than a full
    /// bucket has is served from a full one, and its client waits for longer after it. An error if there are not enough:
    /// then the one that was taken before is given back.
    fn take_more(&self, client: &str, more: u32, now: Instant) -> Result<Bucket, Bucket> {
        let mut table = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = table.get(client).copied().unwrap_or(now).max(now);
        let capacity = self.rate.capacity();
        let missing = full_at.duration_since(now);
        let taken = missing + self.rate.interval.saturating_mul(more);
        let was_full = missing <= self.rate.interval;
        if taken > capacity && !was_full {
            let without = missing.saturating_sub(self.rate.interval);
            table.insert(client.to_owned(), now + without);
            let enough = taken.saturating_sub(capacity).min(without);
            return Err(Bucket {
                left: 0,
                reset: enough,
            });
        }
        table.insert(client.to_owned(), now + taken);
        Ok(self.bucket(taken))
    }

    /// What is left when so much time is missing until the bucket is full.
    fn bucket(&self, missing: Duration) -> Bucket {
        let capacity = self.rate.capacity();
        let left = capacity.saturating_sub(missing).as_nanos() / self.rate.interval.as_nanos().max(1);
        let left = u32::try_from(left).unwrap_or(u32::MAX);
        let reset = if left == 0 {
            missing.saturating_sub(capacity.saturating_sub(self.rate.interval))
        } else {
            missing
        };
        Bucket { left, reset }
    }

    /// Adds the headers that report a bucket.
    fn add_headers(&self, bucket: Bucket, headers: &mut HeaderMap) {
        let (left, reset) = (bucket.left, whole_seconds(bucket.reset).max(1));
        let limit = format!("\"client\";r={left};t={reset}");
        append(headers, Some(self.policy.clone()), limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::headers::{RATE_LIMIT, RATE_LIMIT_POLICY};

    fn headers_of(limits: &RateLimiter, bucket: Bucket) -> String {
        let mut headers = HeaderMap::new();
        limits.add_headers(bucket, &mut headers);
        format!("{:?} {:?}", headers[RATE_LIMIT_POLICY], headers[RATE_LIMIT])
    }

    #[test]
    fn bucket_refills_one_token_per_interval_up_to_its_burst() {
        let limits = RateLimiter::new(30, 3);
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let bucket = |left, millis| Bucket {
            left,
            reset: Duration::from_millis(millis),
        };
        assert_eq!(limits.take("a", at(0)), Ok(bucket(2, 2000)));
        assert_eq!(limits.take("a", at(0)), Ok(bucket(1, 4000)));
        assert_eq!(limits.take("a", at(500)), Ok(bucket(0, 1500)));
        assert_eq!(limits.take("a", at(500)), Err(bucket(0, 1500)));
        // A refused request takes no token, and other clients are not affected.
        assert_eq!(limits.take("a", at(1999)), Err(bucket(0, 1)));
        assert_eq!(limits.take("b", at(1999)), Ok(bucket(2, 2000)));
        assert_eq!(limits.take("a", at(2000)), Ok(bucket(0, 2000)));
        // Never more than a full bucket.
        for left in [2, 1, 0] {
            assert_eq!(limits.take("a", at(900_000)).unwrap().left, left);
        }
        assert!(limits.take("a", at(900_000)).is_err());
        let shown = r#""\"client\";q=3;w=6" "\"client\";r=0;t=2""#;
        assert_eq!(headers_of(&limits, bucket(0, 1500)), shown);
    }

    #[test]
    fn search_of_many_requests_takes_a_token_for_each() {
        let limits = RateLimiter::new(60, 10);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let bucket = |left, seconds| Bucket {
            left,
            reset: Duration::from_secs(seconds),
        };
        limits.take("a", at(0)).unwrap();
        assert_eq!(limits.take_more("a", 3, at(0)), Ok(bucket(6, 4)));
        limits.take("a", at(0)).unwrap();
        // Of 7 that it needs there are 6: the first one is given back.
        assert_eq!(limits.take_more("a", 6, at(0)), Err(bucket(0, 1)));
        limits.take("a", at(1)).unwrap();
        assert_eq!(limits.take_more("a", 6, at(1)), Ok(bucket(0, 1)));
        // More than a bucket holds: from a full one, and then nothing until all of it is paid.
        limits.take("b", at(0)).unwrap();
        assert!(limits.take_more("b", 14, at(0)).is_ok());
        assert_eq!(limits.take("b", at(0)), Err(bucket(0, 6)));
        limits.take("b", at(6)).unwrap();
        assert_eq!(limits.take_more("b", 14, at(6)), Err(bucket(0, 9)));
        limits.take("b", at(15)).unwrap();
        assert!(limits.take_more("b", 14, at(15)).is_ok());
    }

    #[test]
    fn least_recently_seen_client_is_removed_when_the_table_is_full() {
        let limits = RateLimiter::new(1, 1);
        let now = Instant::now();
        limits.take("first", now).unwrap();
        for number in 0..MAX_CLIENTS {
            limits.take(&number.to_string(), now).unwrap();
            assert!(
                limits.take("0", now).is_err(),
                "an active client stays in the table"
            );
        }
        assert_eq!(limits.full_at.lock().unwrap().len(), MAX_CLIENTS);
        assert!(limits.take("first", now).is_ok());
    }
}
