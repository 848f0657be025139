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

    /// The delays of one loop, which starts anew after each success.
    pub fn delays(self) -> Delays {
        Delays {
            backoff: self,
            failures: 0,
        }
    }
}

/// The delays of a loop that counts its failures.
#[derive(Debug)]
pub struct Delays {
    backoff: Backoff,
    failures: u32,
}

impl Delays {
    /// Counts one more failure; the delay after it.
    pub fn after_failure(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.backoff.delay(self.failures)
    }

    /// Starts with the shortest delay again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        base: Duration::from_secs(10),
        cap: Duration::from_mins(6),
    };

    #[test]
    fn delay_doubles_up_to_the_cap() {
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
                BACKOFF.delay(failures),
                Duration::from_secs(seconds),
                "after {failures} failures"
            );
        }
    }

    #[test]
    fn delays_start_anew_after_a_reset() {
        let mut delays = BACKOFF.delays();
        let seconds = |delay: Duration| delay.as_secs();
        assert_eq!([(); 3].map(|()| seconds(delays.after_failure())), [10, 20, 40]);
        delays.reset();
        assert_eq!(seconds(delays.after_failure()), 10);
    }
}
