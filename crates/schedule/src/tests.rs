use super::*;

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The times after the first one, up to the last one.
fn times(schedule: &str, zone: &str, after: &str, until: &str) -> Vec<String> {
    let schedule = Schedule::new(schedule, zone).unwrap();
    let mut times = Vec::new();
    let mut now = time(after);
    while let Some(next) = schedule.next_after(now).filter(|next| *next <= time(until)) {
        assert!(next > now, "{next} after {now}");
        assert_eq!(schedule.latest_until(next), Some(next));
        times.push(next.to_string());
        now = next;
    }
    times
}

#[test]
fn schedule_has_the_times_that_its_fields_say() {
    let day = ("2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z"); // Monday
    for (schedule, expected) in [
        ("17 6 * * 1-5", vec!["2026-03-02T06:17:00Z"]),
        ("17 6 * * 2", vec![]),
        (
            "0 */8 * * *",
            vec![
                "2026-03-02T08:00:00Z",
                "2026-03-02T16:00:00Z",
                "2026-03-03T00:00:00Z",
            ],
        ),
        (
            "5,50-51 9 ? MAR mon",
            vec![
                "2026-03-02T09:05:00Z",
                "2026-03-02T09:50:00Z",
                "2026-03-02T09:51:00Z",
            ],
        ),
        (
            "0-30/15 0 2 3 *",
            vec!["2026-03-02T00:15:00Z", "2026-03-02T00:30:00Z"],
        ),
        ("@daily", vec!["2026-03-03T00:00:00Z"]),
        // Either of the days, if both are restricted.
        ("0 12 1 * MON", vec!["2026-03-02T12:00:00Z"]),
        ("0 12 2 * TUE", vec!["2026-03-02T12:00:00Z"]),
        ("0 12 */31 * MON", vec!["2026-03-02T12:00:00Z"]),
        ("0 12 2 * */6", vec!["2026-03-02T12:00:00Z"]),
        // From a value to the last one.
        ("5/30 1 * * fri/3", vec![]),
        (
            "5/30 1 * * mon/3",
            vec!["2026-03-02T01:05:00Z", "2026-03-02T01:35:00Z"],
        ),
    ] {
        assert_eq!(times(schedule, "UTC", day.0, day.1), expected, "{schedule}");
    }
}

#[test]
fn one_time_a_day_that_clocks_leave_out_comes_right_after_the_change() {
    // In Budapest 02:00 becomes 03:00 at 01:00 UTC.
    let night = ("2026-03-28T22:00:00Z", "2026-03-29T03:30:00Z");
    for (schedule, expected) in [
        ("30 2 * * *", vec!["2026-03-29T01:00:00Z"]),
        ("0 2 * * *", vec!["2026-03-29T01:00:00Z"]),
        ("30 1 * * *", vec!["2026-03-29T00:30:00Z"]),
        ("0 3 * * *", vec!["2026-03-29T01:00:00Z"]),
        (
            "30 * * * *",
            vec![
                "2026-03-28T22:30:00Z",
                "2026-03-28T23:30:00Z",
                "2026-03-29T00:30:00Z",
                "2026-03-29T01:30:00Z",
                "2026-03-29T02:30:00Z",
                "2026-03-29T03:30:00Z",
            ],
        ),
    ] {
        assert_eq!(
            times(schedule, "Europe/Budapest", night.0, night.1),
            expected,
            "{schedule}"
        );
    }
}

#[test]
fn one_time_a_day_that_comes_twice_counts_once_and_others_twice() {
    // In Budapest 03:00 becomes 02:00 at 01:00 UTC.
    let night = ("2026-10-24T23:00:00Z", "2026-10-25T02:30:00Z");
    for (schedule, expected) in [
        ("30 2 * * *", vec!["2026-10-25T00:30:00Z"]),
        ("30 3 * * *", vec!["2026-10-25T02:30:00Z"]),
        (
            "30 * * * *",
            vec![
                "2026-10-24T23:30:00Z",
                "2026-10-25T00:30:00Z",
                "2026-10-25T01:30:00Z",
                "2026-10-25T02:30:00Z",
            ],
        ),
        (
            "*/30 2 * * *",
            vec![
                "2026-10-25T00:00:00Z",
                "2026-10-25T00:30:00Z",
                "2026-10-25T01:00:00Z",
                "2026-10-25T01:30:00Z",
            ],
        ),
    ] {
        assert_eq!(
            times(schedule, "Europe/Budapest", night.0, night.1),
            expected,
            "{schedule}"
        );
    }
}

#[test]
fn latest_time_is_the_one_before_or_now() {
    let schedule = Schedule::new("17 6 * * 1-5", "Europe/Budapest").unwrap();
    for (now, latest) in [
        ("2026-03-02T05:17:00Z", "2026-03-02T05:17:00Z"),
        ("2026-03-02T05:16:59Z", "2026-02-27T05:17:00Z"),
        ("2026-03-01T12:00:00Z", "2026-02-27T05:17:00Z"),
        ("2026-03-02T05:17:59Z", "2026-03-02T05:17:00Z"),
    ] {
        assert_eq!(schedule.latest_until(time(now)), Some(time(latest)), "{now}");
    }
    let rare = Schedule::new("0 0 29 2 *", "UTC").unwrap();
    assert_eq!(
        rare.latest_until(time("2026-03-02T00:00:00Z")),
        Some(time("2024-02-29T00:00:00Z"))
    );
    assert_eq!(
        rare.next_after(time("2026-03-02T00:00:00Z")),
        Some(time("2028-02-29T00:00:00Z"))
    );
}

#[test]
fn text_that_is_no_schedule_is_refused() {
    for text in [
        "",
        "* * * *",
        "* * * * * *",
        "0 0 L * *",
        "0 0 15W * *",
        "0 0 * * 5#2",
        "0 0 +1 * *",
        "0 0 * FOO *",
        "x * * * *",
        "*/0 * * * *",
        "1- * * * *",
        "TZ=UTC 0 0 * * *",
        "@every 1h",
        "@reboot",
        "\t0 0 * * *",
        "0 0 * * mon\n",
    ] {
        let refused = Schedule::new(text, "UTC");
        assert!(
            matches!(refused, Err(ScheduleError::Syntax(_))),
            "{text}: {refused:?}"
        );
    }
    for text in [
        "60 * * * *",
        "0 24 * * *",
        "0 0 0 * *",
        "0 0 32 * *",
        "0 0 * 13 *",
        "0 0 * * 8",
        "30-10 * * * *",
    ] {
        let refused = Schedule::new(text, "UTC");
        assert!(
            matches!(refused, Err(ScheduleError::Value(..))),
            "{text}: {refused:?}"
        );
    }
    for text in ["0 0 30 2 *", "0 0 31 4,6 *"] {
        let refused = Schedule::new(text, "UTC");
        assert!(
            matches!(refused, Err(ScheduleError::Never(_))),
            "{text}: {refused:?}"
        );
    }
    for zone in ["", "Local", "Mars/Olympus", "Europe/Budapest2"] {
        let refused = Schedule::new("@daily", zone);
        assert!(
            matches!(refused, Err(ScheduleError::TimeZone(..))),
            "{zone}: {refused:?}"
        );
    }
}

#[test]
fn jitter_is_one_number_of_seconds_per_object_and_differs_between_objects() {
    let most = Duration::from_mins(10);
    let uids: Vec<_> = (0..1_000_u128)
        .map(|n| Uuid::from_u128(n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)))
        .collect();
    let jitters: std::collections::BTreeSet<_> = uids.iter().map(|uid| jitter(*uid, most)).collect();
    assert!(jitters.iter().all(|delay| *delay <= most));
    assert!(jitters.len() > 300, "{} different ones", jitters.len());
    assert_eq!(jitter(uids[7], most), jitter(uids[7], most));
    assert_eq!(jitter(uids[7], Duration::ZERO), Duration::ZERO);
    assert_eq!(jitter(uids[7], Duration::from_secs(u64::MAX)).subsec_nanos(), 0);
}
