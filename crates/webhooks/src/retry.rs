//! When an event is sent again: a pure function of what happened.

use std::time::Duration;

/// So long after it was recorded or requested, an event that no attempt has delivered is given up.
pub const GIVE_UP_AFTER: Duration = Duration::from_hours(72);
/// The wait after the first failed attempt; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// No wait is longer, but for a receiver that asks for it.
const LONGEST_WAIT: Duration = Duration::from_hours(6);

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Retry {
    /// Another one after this time.
    After(Duration),
    /// None.
    Never,
}

/// What follows the failed attempt of an event that is `age` old, the `failures`th one in a row of its receiver, which has asked for a
/// pause or not. The last attempt is at the end of the time.
pub fn after_failure(age: Duration, failures: u32, pause: Option<Duration>) -> Retry {
    let Some(left) = GIVE_UP_AFTER.checked_sub(age).filter(|left| !left.is_zero()) else {
        return Retry::Never;
    };
    let doublings = failures.saturating_sub(1).min(16);
    let wait = FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT);
    Retry::After(wait.max(pause.unwrap_or_default()).min(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_end_after_three_days() {
        let (seconds, hours) = (Duration::from_secs, Duration::from_hours);
        let zero = Duration::ZERO;
        for (age, failures, pause, expected) in [
            (zero, 0, None, Retry::After(seconds(5))),
            (zero, 1, None, Retry::After(seconds(5))),
            (zero, 2, None, Retry::After(seconds(10))),
            (zero, 5, None, Retry::After(seconds(80))),
            (zero, 13, None, Retry::After(seconds(20_480))),
            (zero, 14, None, Retry::After(hours(6))),
            (zero, u32::MAX, None, Retry::After(hours(6))),
            (zero, 1, Some(seconds(3)), Retry::After(seconds(5))),
            (zero, 1, Some(seconds(60)), Retry::After(seconds(60))),
            (zero, 1, Some(hours(1_000)), Retry::After(hours(72))),
            (hours(70), 20, None, Retry::After(hours(2))),
            (seconds(72 * 3_600 - 1), 20, None, Retry::After(seconds(1))),
            (hours(72), 1, None, Retry::Never),
            (hours(1_000), 1, Some(seconds(60)), Retry::Never),
        ] {
            assert_eq!(
                after_failure(age, failures, pause),
                expected,
                "{age:?}, {failures}, {pause:?}"
            );
        }
        let (mut age, mut attempts) = (zero, 0);
        while let Retry::After(wait) = after_failure(age, attempts, None) {
            (age, attempts) = (age + wait, attempts + 1);
        }
        assert_eq!((age, attempts), (GIVE_UP_AFTER, 25), "all attempts of three days");
    }
}
