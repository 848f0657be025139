//! Token buckets: so many at once, and one more each interval.

use std::time::Duration;

use tokio::time::Instant;

/// How many tokens a bucket holds, and how often it gets one more.
#[derive(Clone, Copy, Debug)]
pub struct TokenRate {
    /// The most tokens.
    pub burst: u32,
    /// The time between two new tokens.
    pub interval: Duration,
}

impl TokenRate {
    /// How long an empty bucket takes to be full.
    pub fn capacity(&self) -> Duration {
        self.interval * self.burst
    }

    /// Takes a token from a bucket that is full again at `full_at`, in the past if it is full: when it is full after that. An error
    /// if there is none: the time until there is one.
    pub fn take(&self, full_at: Option<Instant>, now: Instant) -> Result<Instant, Duration> {
        let taken = full_at.unwrap_or(now).max(now) + self.interval;
        let missing = taken.duration_since(now);
        match missing.checked_sub(self.capacity()) {
            None | Some(Duration::ZERO) => Ok(taken),
            Some(wait) => Err(wait),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_has_its_burst_and_then_one_token_each_interval() {
        let rate = TokenRate {
            burst: 3,
            interval: Duration::from_secs(1),
        };
        let start = Instant::now();
        let mut full_at = None;
        let mut taken = |after: f64| {
            let taken = rate.take(full_at, start + Duration::from_secs_f64(after));
            full_at = taken.ok().or(full_at);
            taken.is_ok()
        };
        assert_eq!([0.0, 0.0, 0.1, 0.2].map(&mut taken), [true, true, true, false]);
        assert_eq!([1.0, 1.1, 2.5].map(&mut taken), [true, false, true]);
        // Full again, and no more than that.
        assert_eq!([60.0, 60.0, 60.0, 60.0].map(taken), [true, true, true, false]);
        let wait = rate.take(Some(start + rate.capacity()), start).unwrap_err();
        assert_eq!(wait, rate.interval);
    }
}
