//! Whether an operation waits a moment for further callers, as `linger.ms` has it in Kafka and `commit_delay` in Postgres.
//!
//! Where callers come one by one, such a wait is in vain. So one in which nobody came is followed by operations without it, by
//! more and more of them while that goes on.

/// The most operations without a wait after one that was in vain.
const MAX_WITHOUT: u32 = 16;

/// What the last waits have brought.
#[derive(Debug, Default)]
pub(super) struct Linger {
    /// Operations that do not wait, from now on.
    without: u32,
    /// How many there were after the last wait that was in vain; none after one that was not.
    before: u32,
}

impl Linger {
    /// Whether the next operation waits.
    pub(super) fn is_due(&mut self) -> bool {
        let is_due = self.without == 0;
        self.without = self.without.saturating_sub(1);
        is_due
    }

    /// An operation has waited.
    pub(super) fn waited(&mut self, somebody_came: bool) {
        self.before = if somebody_came {
            0
        } else {
            (self.before * 2).clamp(1, MAX_WITHOUT)
        };
        self.without = self.before;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_become_rare_while_nobody_comes_and_frequent_when_somebody_does() {
        let mut linger = Linger::default();
        let mut operations_until_due = |somebody_came| {
            let operations = (0..100).take_while(|_| !linger.is_due()).count();
            linger.waited(somebody_came);
            operations
        };
        for (operations, somebody_came) in [
            (0, true),
            (0, true),
            (0, false),
            (1, false),
            (2, false),
            (4, false),
            (8, false),
            (16, false),
            (16, true),
            (0, false),
            (1, true),
            (0, true),
        ] {
            assert_eq!(operations_until_due(somebody_came), operations);
        }
    }
}
