//! Whether another process is started now: most tests wait, so several programs together keep the cores busy, and how many
//! depends on what they do.

use std::time::Duration;

/// Test programs at once for each core, at most.
const PER_CORE: usize = 3;
/// Memory that stays free: what one program and its servers take at most, with some left.
const FREE_MEMORY: u64 = 2 << 30;
/// Share of CPU time that must have been idle lately.
const IDLE: f64 = 0.10;
/// The same while tests run whose limits of time are short.
const IDLE_FOR_TIMED: f64 = 0.25;
/// A program that has just been started is not seen in the use of the CPU yet. Short ones need not be seen.
const SETTLING: Duration = Duration::from_secs(2);
const SHORT: Duration = Duration::from_secs(1);

/// What is running, and what the machine has left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) cores: usize,
    /// Programs that are running.
    pub(super) running: usize,
    /// One of them has tests whose limits of time are short.
    pub(super) timed: bool,
    /// Time since the last start of a program that is not short.
    pub(super) since_start: Duration,
    /// Share of CPU time that was idle lately, where that is known.
    pub(super) idle: Option<f64>,
    /// Available memory in bytes, where that is known.
    pub(super) memory: Option<u64>,
}

impl Now {
    /// Whether a program that is expected to run for so long may be started.
    pub(super) fn admits(&self, estimate: Duration, timed: bool) -> bool {
        if self.running == 0 {
            return true;
        }
        let enough_memory = self.memory.is_none_or(|memory| memory >= FREE_MEMORY);
        if !enough_memory || self.running >= self.cores * PER_CORE {
            return false;
        }
        // On a machine that others use, there is never any time left.
        if self.running < self.cores {
            return true;
        }
        let Some(idle) = self.idle else {
            return self.running < self.cores * 2;
        };
        let needed = if timed || self.timed { IDLE_FOR_TIMED } else { IDLE };
        idle >= needed && (estimate < SHORT || self.since_start >= SETTLING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn programs_are_started_while_cores_are_idle_and_memory_is_free() {
        let quiet = Now {
            cores: 2,
            running: 3,
            timed: false,
            since_start: Duration::from_secs(5),
            idle: Some(0.2),
            memory: Some(8 << 30),
        };
        let (long, short) = (Duration::from_mins(1), Duration::from_millis(20));
        let cases = [
            ("cores are idle", quiet, long, false, true),
            (
                "cores are busy",
                Now {
                    idle: Some(0.05),
                    ..quiet
                },
                long,
                false,
                false,
            ),
            ("a timed one needs more", quiet, long, true, false),
            (
                "and so do those next to it",
                Now { timed: true, ..quiet },
                long,
                false,
                false,
            ),
            (
                "it has more",
                Now {
                    timed: true,
                    idle: Some(0.4),
                    ..quiet
                },
                long,
                false,
                true,
            ),
            (
                "one has just started",
                Now {
                    since_start: Duration::from_secs(1),
                    ..quiet
                },
                long,
                false,
                false,
            ),
            (
                "which is no matter for a short one",
                Now {
                    since_start: Duration::from_secs(1),
                    ..quiet
                },
                short,
                false,
                true,
            ),
            ("enough of them", Now { running: 6, ..quiet }, long, false, false),
            (
                "no memory",
                Now {
                    memory: Some(1 << 30),
                    ..quiet
                },
                short,
                false,
                false,
            ),
            (
                "no memory, but nothing runs",
                Now {
                    memory: Some(1 << 30),
                    running: 0,
                    ..quiet
                },
                long,
                false,
                true,
            ),
            (
                "others use the machine",
                Now {
                    idle: Some(0.0),
                    running: 1,
                    ..quiet
                },
                long,
                false,
                true,
            ),
            (
                "not Linux",
                Now {
                    idle: None,
                    memory: None,
                    ..quiet
                },
                long,
                false,
                true,
            ),
            (
                "not Linux, enough of them",
                Now {
                    idle: None,
                    memory: None,
                    running: 4,
                    ..quiet
                },
                long,
                false,
                false,
            ),
        ];
        for (what, now, estimate, timed, admitted) in cases {
            assert_eq!(now.admits(estimate, timed), admitted, "{what}");
        }
    }
}
