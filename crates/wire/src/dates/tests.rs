use super::*;

fn zone(hours: &str) -> Zone {
    hours.parse().unwrap()
}

fn plus_two() -> Zone {
    zone("2")
}

#[test]
fn offset_is_read_in_quarters_of_an_hour() {
    for (text, minutes) in [
        ("2", 120),
        ("+2", 120),
        ("-5", -300),
        ("5.5", 330),
        ("5.75", 345),
        ("-3.50", -210),
        ("12.75", 765),
        ("0", 0),
        ("0.0", 0),
        ("23.75", 1425),
    ] {
        let zone = Zone {
            offset: SignedDuration::from_mins(minutes),
        };
        assert_eq!(text.parse(), Ok(zone), "{text}");
    }
    for text in [
        "", "24", "-24", "5.3", "5.", ".5", "5,5", "5:30", "5.500001", "+-5", "NaN", "1e1", "\u{662}",
    ] {
        assert_eq!(text.parse::<Zone>(), Err(NoZone), "{text:?}");
    }
    assert_eq!(zone("5.5").format(0).unwrap().as_str(), "1970-01-01T05:30:00");
    assert_eq!(
        zone("-3.5").parse("1970-01-01T00:00:00", RangeEnd::Start),
        Some(3 * 3600 + 1800)
    );
}

#[test]
fn fraction_of_a_second_is_rounded_into_the_range() {
    let midnight = 1_711_843_200;
    for (text, start, end) in [
        ("2024-03-31T00:00:00.000Z", midnight, midnight),
        ("2024-03-31T00:00:00.001Z", midnight + 1, midnight),
        ("2024-03-30T23:59:59.999999Z", midnight, midnight - 1),
        ("2024-03-31T02:00:00.5+02:00", midnight + 1, midnight),
        ("2024-03-31T02:00:00.000", midnight, midnight),
        ("2024-03-31 00:00:00Z", midnight, midnight),
        ("2024-03-31 02:00:00.000+02:00", midnight, midnight),
        ("2024-03-30T23:59:60Z", midnight - 1, midnight - 1),
    ] {
        assert_eq!(plus_two().parse(text, RangeEnd::Start), Some(start), "{text}");
        assert_eq!(plus_two().parse(text, RangeEnd::End), Some(end), "{text}");
    }
}

#[test]
fn dates_are_read_as_strptime_and_rfc_3339_read_them() {
    let midnight = 1_711_843_200; // 2024-03-31T00:00:00Z
    let cases = [
        ("2024-03-31T02:00:00", midnight),
        ("2024-03-31t02:00:00", midnight),
        ("2024-3-31T2:0:0", midnight),
        ("2024-04- 1T02:00:00", midnight + 86_400),
        ("2024-03-31T00:00:00Z", midnight),
        ("2024-03-31t00:00:00z", midnight),
        ("2024-03-31T02:00:00+02:00", midnight),
        ("2024-03-30T19:00:00-05:00", midnight),
        ("2024-03-31T05:30:00+05:30", midnight),
        ("2024-03-31", midnight - 7200),
        ("2024-02-29T02:00:00", midnight - 31 * 86_400),
        ("1970-01-01T00:00:00", -7200),
        ("9999-12-31T23:59:59", 253_402_300_799 - 7200),
        ("0001-01-01T02:00:00", -62_135_596_800),
    ];
    for (text, seconds) in cases {
        assert_eq!(plus_two().parse(text, RangeEnd::Start), Some(seconds), "{text}");
    }
    assert_eq!(
        plus_two().parse("2024-03-31", RangeEnd::End),
        Some(midnight - 7200 + 86_399)
    );
    assert_eq!(
        plus_two().parse("2024-03-31T02:00:00", RangeEnd::End),
        Some(midnight)
    );
}

#[test]
fn hint_says_what_somebody_may_have_meant() {
    for (text, part) in [
        ("1711843200000", "milliseconds"),
        ("1711843200", "unix seconds"),
        ("2024-03-31T02:00:00 02:00", "%2B"),
        ("2024-03-31T02:00:00.000 02:00", "%2B"),
    ] {
        assert!(hint(text).contains(part), "{text}");
    }
    for text in [
        "",
        "yesterday",
        "2024-13-01T02:00:00 02:00",
        "2024-03-31 02:00:00",
        "31.03.2024",
    ] {
        assert_eq!(hint(text), "", "{text}");
    }
}

#[test]
fn date_of_a_search_is_a_day_of_utc_or_has_an_offset() {
    let midnight = 1_711_843_200; // 2024-03-31T00:00:00Z
    for (text, start, end) in [
        ("2024-03-31", midnight, midnight + 86_399),
        ("2024-03-31T00:00:00Z", midnight, midnight),
        ("2024-03-31t00:00:00.000z", midnight, midnight),
        ("2024-03-31 02:00:00+02:00", midnight, midnight),
        ("2024-03-30T23:59:60Z", midnight - 1, midnight - 1),
    ] {
        assert_eq!(of_search(text, RangeEnd::Start), Some(start), "{text}");
        assert_eq!(of_search(text, RangeEnd::End), Some(end), "{text}");
    }
    for text in [
        "",
        "2024-3-31",
        "2024-03- 1",
        "2024-03-31T02:00:00",
        "2024-03-31 02:00:00",
        "2024-02-30",
        "2024-03-31Z",
        "2024-03-31T",
        "1711843200",
        "1711843200000",
        "31.03.2024",
        "2024-03-3\u{e9}",
        "yesterday",
    ] {
        assert_eq!(of_search(text, RangeEnd::Start), None, "{text:?}");
    }
}

#[test]
fn text_that_is_no_date_is_refused() {
    let refused = [
        "",
        "abc",
        "x",
        "1711843200",
        "2024-02-30T00:00:00",
        "2023-02-29T00:00:00",
        "2024-03-31T24:00:00",
        "2024-03-31T23:60:00",
        "2016-12-31T23:59:60",
        "2016-12-31T23:59:61",
        "2024-13-01T00:00:00",
        "2024-00-01T00:00:00",
        "2024-01-00T00:00:00",
        "2024-01-1 T00:00:00",
        "2024-03-31T02:00:00 ",
        " 2024-03-31T02:00:00",
        "2024-03-31 02:00:00",
        "2024-03-31T02:00",
        "2024-03-31T",
        "24-03-31T02:00:00",
        "02024-03-31T02:00:00",
        "2024-003-31T02:00:00",
        "2024-03-31T002:00:00",
        "+024-03-31T02:00:00",
        "2024-03-31T+2:00:00",
        "2024-03-31T02:00:00.",
        "2024-03-31T02:00:00.5x",
        "2024-03-31T2:00:00.5",
        "2024-03-31T02:00.5",
        "2024-03-31T02:00:00 02:00",
        "2024-03-31T02:00:00+2:00",
        "2024-03-31T02:00:00+0200",
        "2024-03-31T02:00:00+24:00",
        "2024-03-31T02:00:00+02:60",
        "2024-03-31T2:00:00Z",
        "2024-03-31T02:00:00ZZ",
        "2024-03-31T02:00:00-",
        "2024/03/31T02:00:00",
        "0001-01-01T00:00:00",
        "0000-01-01T00:00:00",
        "\u{ff12}\u{ff10}\u{ff12}\u{ff14}-03-31T02:00:00",
        "2024-03-31T02:00:00\u{20ac}+",
    ];
    for text in refused {
        assert_eq!(plus_two().parse(text, RangeEnd::Start), None, "{text:?}");
    }
}

#[test]
fn dates_are_shown_in_their_zone() {
    assert_eq!(
        plus_two().format(1_711_843_200).unwrap().as_str(),
        "2024-03-31T02:00:00"
    );
    assert_eq!(zone("0").format(0).unwrap().as_str(), "1970-01-01T00:00:00");
    assert_eq!(zone("-5").format(0).unwrap().as_str(), "1969-12-31T19:00:00");
    assert_eq!(
        zone("0").format(-62_135_596_800).unwrap().as_str(),
        "0001-01-01T00:00:00"
    );
    for seconds in [i64::MIN, i64::MAX, 253_402_300_800, -62_135_596_801] {
        assert_eq!(zone("0").format(seconds), None, "{seconds}");
    }
    let (first, last) = plus_two().range();
    assert!(plus_two().format(first).is_some() && plus_two().format(first - 1).is_none());
    assert!(plus_two().format(last).is_some() && plus_two().format(last + 1).is_none());
}
