//! How many reconciliations of each feed have failed since the last one that did not.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// More are forgotten: those of feeds that are gone are among them.
const MAX_REMEMBERED: usize = 10_000;

/// Failures by the uid of a feed.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<HashMap<String, u32>>);

impl Failures {
    /// One more; how many there are now.
    pub(super) fn add(&self, uid: &str) -> u32 {
        let mut all = self.all();
        if all.len() >= MAX_REMEMBERED && !all.contains_key(uid) {
            all.clear();
        }
        let failures = all.entry(uid.to_owned()).or_default();
        *failures = failures.saturating_add(1);
        *failures
    }

    /// None any more.
    pub(super) fn clear(&self, uid: &str) {
        self.all().remove(uid);
    }

    /// How many there are, at least one.
    pub(super) fn of(&self, uid: &str) -> u32 {
        self.all().get(uid).copied().unwrap_or(1)
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_one_feed_are_counted_until_it_succeeds_and_memory_is_bounded() {
        let failures = Failures::default();
        assert_eq!(
            (failures.add("a"), failures.add("a"), failures.add("b")),
            (1, 2, 1)
        );
        failures.clear("a");
        assert_eq!((failures.of("a"), failures.of("b"), failures.add("a")), (1, 1, 1));
        for number in 0..2 * MAX_REMEMBERED {
            failures.add(&number.to_string());
        }
        assert!(failures.all().len() <= MAX_REMEMBERED);
    }
}
