//! Delays between tries: doubling, with a cap.

use std::time::Duration;

/// Delays that double from `base` up to `cap`.
///
/// There is no jitter on purpose: queries that wait for the same page come back at the same time and share one
/// request again.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// The delay after the first failure.
    pub base: Duration,
    /// No delay is longer.
    pub cap: Duration,
}

impl Backoff {
    /// The delay after the `failures`th failure in a row, which counts from 1.
    pub fn delay(&self, failures: u32) -> Duration {
        // 2^16 times any base is beyond every cap, and far from overflowing.
        let doublings = failures.saturating_sub(1).min(16);
        self.base.saturating_mul(1 << doublings).min(self.cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_doubles_up_to_the_cap() {
        let backoff = Backoff {
            base: Duration::from_secs(10),
            cap: Duration::from_mins(6),
        };
        for (failures, seconds) in [
            (0, 10),
            (1, 10),
            (2, 20),
            (3, 40),
            (6, 320),
            (7, 360),
            (u32::MAX, 360),
        ] {
            assert_eq!(
                backoff.delay(failures),
                Duration::from_secs(seconds),
                "after {failures} failures"
            );
        }
    }
}
