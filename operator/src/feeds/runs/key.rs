//! Which run of a feed one is: its name says so.

use jiff::Timestamp;

/// Seconds in a minute.
const MINUTE: i64 = 60;
/// The most runs of one scheduled time after the first one, each of which goes on where the one before it ended: with the
/// default of `maxResultsPerRun`, more than fifty thousand papers.
pub(super) const MAX_PARTS: u8 = 25;

/// Which run of a feed one is: of which scheduled time, and the how many-th of that, from 0.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(in crate::feeds) struct RunKey {
    pub(in crate::feeds) scheduled: Timestamp,
    pub(super) part: u8,
}

impl RunKey {
    /// The first run of a scheduled time.
    pub(in crate::feeds) fn first(scheduled: Timestamp) -> Self {
        Self { scheduled, part: 0 }
    }

    /// Whether it is the first run of its scheduled time.
    pub(in crate::feeds) fn is_first(self) -> bool {
        self.part == 0
    }

    /// The run after this one of the same scheduled time, if there may be one.
    pub(super) fn next_part(self) -> Option<Self> {
        let part = self.part + 1;
        (part <= MAX_PARTS).then_some(Self { part, ..self })
    }

    /// The name of the run: `FEED-MINUTES`, then `FEED-MINUTESb`, `FEED-MINUTESc` and so on. It is the same for every process, so
    /// no run comes twice.
    pub(in crate::feeds) fn name(self, feed: &str) -> String {
        let minutes = self.scheduled.as_second() / MINUTE;
        let part = if self.part == 0 {
            String::new()
        } else {
            char::from(b'a' + self.part.min(MAX_PARTS)).to_string()
        };
        format!("{feed}-{minutes}{part}")
    }

    /// The run with this name.
    pub(super) fn of_name(feed: &str, run: &str) -> Option<Self> {
        let minutes = run.strip_prefix(feed)?.strip_prefix('-')?;
        let (minutes, part) = match minutes.as_bytes().last()? {
            letter @ b'b'..=b'z' => (&minutes[..minutes.len() - 1], letter - b'a'),
            _ => (minutes, 0),
        };
        let minutes: i64 = minutes.parse().ok()?;
        let scheduled = Timestamp::from_second(minutes.checked_mul(MINUTE)?).ok()?;
        Some(Self { scheduled, part })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn name_of_a_run_tells_its_scheduled_time_and_which_of_its_runs_it_is() {
        let mut key = RunKey::first(time("2026-03-02T06:17:00Z"));
        assert_eq!(key.name("knuth"), "knuth-29540537");
        let mut names = vec![key.name("knuth")];
        while let Some(next) = key.next_part() {
            assert!(next > key);
            key = next;
            names.push(key.name("knuth"));
            assert_eq!(RunKey::of_name("knuth", names.last().unwrap()), Some(key));
        }
        assert_eq!((names[1].as_str(), names.len()), ("knuth-29540537b", 26));
        assert_eq!(names.last().unwrap(), "knuth-29540537z");
        assert!(
            RunKey::first(time("2026-03-02T06:18:00Z")) > key,
            "the next time is later"
        );
        let longest = "f".repeat(crd::MAX_FEED_NAME);
        assert!(key.name(&longest).len() <= 63, "fits into a label");
        for other in [
            "knuth",
            "knuth-",
            "knuth-x",
            "other-29540537",
            "knuth-29540537bb",
            "knuth-29540537a",
            "knuth-b",
            "knuth-9223372036854775807",
        ] {
            assert_eq!(RunKey::of_name("knuth", other), None, "{other}");
        }
    }
}
