//! The times of schedules in every minute of a year, compared with another implementation of cron and another one of time
//! zones: Python's `croniter` and `zoneinfo`. With a time zone, croniter has one time a day twice where clocks are put back over
//! it. So it is only asked what the fields mean, and `expected.py` has a rule of its own for changes of clocks, with `zoneinfo`.

// clippy.toml allows it in tests, but not in what tests share.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    ops::RangeInclusive,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use jiff::Timestamp;
use schedule::Schedule;
use serde_json::json;
use testbed::{TempDir, process::Spec, tools::packages};

/// Zones and their changes in 2026: of an hour in the north; at midnight in the south; of half an hour; for a month in winter; none.
const ZONES: [(&str, &[&str]); 5] = [
    (
        "Europe/Budapest",
        &["2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z"],
    ),
    (
        "America/Santiago",
        &["2026-04-05T03:00:00Z", "2026-09-06T04:00:00Z"],
    ),
    (
        "Australia/Lord_Howe",
        &["2026-04-04T15:00:00Z", "2026-10-03T15:30:00Z"],
    ),
    (
        "Africa/Casablanca",
        &["2026-02-15T02:00:00Z", "2026-03-22T02:00:00Z"],
    ),
    ("Asia/Kolkata", &["2026-06-01T00:00:00Z"]),
];
const SCHEDULES: [&str; 14] = [
    "* * * * *",
    "*/7 * * * *",
    "0 * * * *",
    "*/10 0-3 * * *",
    "0,45 1-3 * * *",
    "*/30 2 * * *",
    "17 6 * * 1-5",
    "0 0 * * *",
    "30 0 * * *",
    "15 2 * * *",
    "30 2 * * 0",
    "59 23 1,15 * 5",
    "0 12 */2 * MON",
    "0 4 29 2-3 *",
];
const BEGIN: &str = "2026-01-01T00:00:00";
const END: &str = "2027-01-01T00:00:00";
const MINUTE: i64 = 60;
/// In minutes from a change: from each of these, both the next time and the last one are looked up.
const AROUND: RangeInclusive<i64> = -150..=150;
const LIMIT: Duration = Duration::from_mins(3);

fn second(time: &str) -> i64 {
    time.parse::<Timestamp>().unwrap().as_second()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// One schedule in one zone, and its times in seconds since 1970.
struct Case {
    schedule: &'static str,
    zone: &'static str,
    changes: &'static [&'static str],
    expected: Vec<i64>,
}

impl Case {
    fn read(folder: &Path, schedule: usize, zone: usize) -> Self {
        let bits = fs::read(folder.join(format!("{schedule}-{zone}.bits"))).unwrap();
        let begin = second(&format!("{BEGIN}Z"));
        let minutes = (0_i64..).zip(
            bits.iter()
                .flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1)),
        );
        let expected = minutes.filter(|(_, bit)| *bit == 1);
        Self {
            schedule: SCHEDULES[schedule],
            zone: ZONES[zone].0,
            changes: ZONES[zone].1,
            expected: expected.map(|(n, _)| begin + n * MINUTE).collect(),
        }
    }

    /// The schedule has these times and no others: in each minute of the year, as seen from the time before; and as seen from each
    /// minute around the changes of clocks.
    fn compare(&self) {
        let schedule = Schedule::new(self.schedule, self.zone).unwrap();
        let of = |time: Option<Timestamp>| time.map(Timestamp::as_second);
        let what = |now: i64| format!("{} in {} at {}", self.schedule, self.zone, at(now));
        let (begin, end) = (second(&format!("{BEGIN}Z")), second(&format!("{END}Z")));
        assert!(!self.expected.is_empty(), "{}", what(begin));
        let mut now = begin;
        for time in &self.expected {
            assert_eq!(of(schedule.next_after(at(now))), Some(*time), "{}", what(now));
            now = *time;
        }
        let after = of(schedule.next_after(at(now)));
        assert!(after.is_none_or(|after| after > end), "{}: {after:?}", what(now));
        for change in self.changes {
            for now in AROUND.map(|minute| second(change) + minute * MINUTE) {
                let index = self.expected.partition_point(|time| *time <= now);
                if let Some(next) = self.expected.get(index) {
                    assert_eq!(of(schedule.next_after(at(now))), Some(*next), "{}", what(now));
                }
                if let Some(latest) = index.checked_sub(1).map(|index| self.expected[index]) {
                    assert_eq!(of(schedule.latest_until(at(now))), Some(latest), "{}", what(now));
                }
            }
        }
    }
}

#[tokio::test]
async fn times_in_every_minute_of_a_year_are_those_of_another_implementation() {
    let install = || packages::python("python-croniter", include_str!("requirements.txt")).unwrap();
    let bin = tokio::task::spawn_blocking(install).await.unwrap();
    let folder = TempDir::new("croniter").unwrap();
    let cases = json!({
        "schedules": SCHEDULES, "zones": ZONES.map(|(zone, _)| zone), "begin": BEGIN, "end": END,
    });
    fs::write(folder.path().join("cases.json"), cases.to_string()).unwrap();
    Spec::new(bin.join("python"), folder.path().join("python.log"))
        .current_dir(folder.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/croniter/expected.py"))
        .run(LIMIT)
        .await
        .unwrap();
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, Into::into);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let number = next.fetch_add(1, Ordering::Relaxed)
                    && number < SCHEDULES.len() * ZONES.len()
                {
                    let (schedule, zone) = (number / ZONES.len(), number % ZONES.len());
                    Case::read(folder.path(), schedule, zone).compare();
                }
            });
        }
    });
}
