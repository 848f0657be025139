//! Times of schedules across changes of clocks, compared with another implementation of cron and another one of time zones:
//! Python's `croniter` and `zoneinfo`.

// clippy.toml allows it in tests, but not in what tests share.
#![allow(clippy::unwrap_used)]

use std::{fs, ops::RangeInclusive, time::Duration};

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
/// For the whole year.
const SCHEDULES: [&str; 9] = [
    "17 6 * * 1-5",
    "0 0 * * *",
    "30 0 * * *",
    "15 2 * * *",
    "30 2 * * 0",
    "59 23 1,15 * 5",
    "*/30 2 * * *",
    "0 12 */2 * MON",
    "0 4 29 2-3 *",
];
/// For the hours around each change, as they have so many times.
const FREQUENT: [&str; 5] = [
    "* * * * *",
    "*/7 * * * *",
    "0 * * * *",
    "*/10 0-3 * * *",
    "0,45 1-3 * * *",
];
const MINUTE: i64 = 60;
/// In minutes from a change.
const AROUND: RangeInclusive<i64> = -150..=150;
const LIMIT: Duration = Duration::from_mins(3);

struct Case {
    schedule: &'static str,
    zone: &'static str,
    /// In seconds since 1970.
    begin: i64,
    end: i64,
}

fn second(time: &str) -> i64 {
    time.parse::<Timestamp>().unwrap().as_second()
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (zone, changes) in ZONES {
        let year = (second("2026-01-01T00:00:00Z"), second("2027-01-01T00:00:00Z"));
        let around = changes.iter().map(|change| {
            (
                second(change) + AROUND.start() * MINUTE,
                second(change) + AROUND.end() * MINUTE,
            )
        });
        cases.extend(SCHEDULES.map(|schedule| Case {
            schedule,
            zone,
            begin: year.0,
            end: year.1,
        }));
        for (begin, end) in around {
            cases.extend(FREQUENT.map(|schedule| Case {
                schedule,
                zone,
                begin,
                end,
            }));
        }
    }
    cases
}

fn text(second: i64) -> String {
    Timestamp::from_second(second)
        .unwrap()
        .strftime("%Y-%m-%dT%H:%M:%S")
        .to_string()
}

#[tokio::test]
async fn times_of_a_year_are_those_of_another_implementation() {
    let install = || packages::python("python-croniter", include_str!("requirements.txt")).unwrap();
    let bin = tokio::task::spawn_blocking(install).await.unwrap();
    let folder = TempDir::new("croniter").unwrap();
    let cases = cases();
    let listed: Vec<_> = cases
        .iter()
        .map(|case| json!({"schedule": case.schedule, "zone": case.zone, "begin": text(case.begin), "end": text(case.end)}))
        .collect();
    fs::write(
        folder.path().join("cases.json"),
        serde_json::to_vec(&listed).unwrap(),
    )
    .unwrap();
    Spec::new(bin.join("python"), folder.path().join("python.log"))
        .current_dir(folder.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/croniter/expected.py"))
        .run(LIMIT)
        .await
        .unwrap();
    let expected = fs::read(folder.path().join("expected.json")).unwrap();
    let expected: Vec<Vec<i64>> = serde_json::from_slice(&expected).unwrap();
    assert_eq!(expected.len(), cases.len());
    for (case, expected) in cases.iter().zip(&expected) {
        assert!(!expected.is_empty(), "{} in {}", case.schedule, case.zone);
        compare(case, expected);
    }
}

/// The schedule has these times and no others: seen from each of them, and from each minute around the changes of clocks.
fn compare(case: &Case, expected: &[i64]) {
    let schedule = Schedule::new(case.schedule, case.zone).unwrap();
    let at = |second: i64| Timestamp::from_second(second).unwrap();
    let of = |time: Option<Timestamp>| time.map(Timestamp::as_second);
    let what = |second: i64| format!("{} in {} at {}", case.schedule, case.zone, at(second));
    let mut now = case.begin;
    for time in expected {
        assert_eq!(of(schedule.next_after(at(now))), Some(*time), "{}", what(now));
        now = *time;
    }
    let after = of(schedule.next_after(at(now)));
    assert!(
        after.is_none_or(|after| after > case.end),
        "{}: {after:?}",
        what(now)
    );

    let changes = ZONES.iter().find(|(zone, _)| *zone == case.zone).unwrap().1;
    for change in changes {
        let minutes = AROUND.map(|minute| second(change) + minute * MINUTE);
        for now in minutes.filter(|now| (case.begin..case.end).contains(now)) {
            let index = expected.partition_point(|time| *time <= now);
            if let Some(next) = expected.get(index) {
                assert_eq!(of(schedule.next_after(at(now))), Some(*next), "{}", what(now));
            }
            if let Some(latest) = index.checked_sub(1).map(|index| expected[index]) {
                assert_eq!(of(schedule.latest_until(at(now))), Some(latest), "{}", what(now));
            }
        }
    }
}
