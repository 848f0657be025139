//! The rate of searches of each client: one token bucket for each, in a table of limited size.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use hashlink::LruCache;
use http::HeaderMap;
use tokio::time::Instant;

use crate::{error::whole_seconds, limits::headers::append};

/// Clients in the table, at some 100 bytes each. If more come, the least recently seen is removed, and has a full bucket
/// when it comes again.
const MAX_CLIENTS: usize = 10_000;

/// One bucket for each client: it holds `burst` tokens, and gets one more each interval.
pub(crate) struct SearchRateLimiter {
    interval: Duration,
    burst: u32,
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

impl SearchRateLimiter {
    /// `per_minute` and `burst` are at least 1.
    pub(crate) fn new(per_minute: u32, burst: u32) -> Self {
        let (interval, burst) = (Duration::from_mins(1) / per_minute.max(1), burst.max(1));
        let window = whole_seconds(interval.saturating_mul(burst)).max(1);
        Self {
            interval,
            burst,
            policy: format!("\"client\";q={burst};w={window}"),
            full_at: Mutex::new(LruCache::new(MAX_CLIENTS)),
        }
    }

    /// Takes one of this client's tokens; an error if there is none.
    pub(crate) fn take(&self, client: &str, now: Instant) -> Result<Bucket, Bucket> {
        let mut table = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = table.get(client).copied().unwrap_or(now).max(now);
        let capacity = self.interval * self.burst;
        let taken = full_at + self.interval;
        let missing = taken.duration_since(now);
        if missing > capacity {
            return Err(Bucket {
                left: 0,
                reset: missing.saturating_sub(capacity),
            });
        }
        table.insert(client.to_owned(), taken);
        let left = capacity.saturating_sub(missing).as_nanos() / self.interval.as_nanos().max(1);
        let left = u32::try_from(left).unwrap_or(u32::MAX);
        let reset = if left == 0 {
            missing.saturating_sub(capacity.saturating_sub(self.interval))
        } else {
            missing
        };
        Ok(Bucket { left, reset })
    }

    /// Adds the headers that report a bucket.
    pub(crate) fn add_headers(&self, bucket: Bucket, headers: &mut HeaderMap) {
        let (left, reset) = (bucket.left, whole_seconds(bucket.reset).max(1));
        let limit = format!("\"client\";r={left};t={reset}");
        append(headers, Some(self.policy.clone()), limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::headers::{RATE_LIMIT, RATE_LIMIT_POLICY};

    fn headers_of(limits: &SearchRateLimiter, bucket: Bucket) -> String {
        let mut headers = HeaderMap::new();
        limits.add_headers(bucket, &mut headers);
        format!("{:?} {:?}", headers[RATE_LIMIT_POLICY], headers[RATE_LIMIT])
    }

    #[test]
    fn bucket_refills_one_token_per_interval_up_to_its_burst() {
        let limits = SearchRateLimiter::new(30, 3);
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
    fn least_recently_seen_client_is_removed_when_the_table_is_full() {
        let limits = SearchRateLimiter::new(1, 1);
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
