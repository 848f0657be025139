//! The rules of the chart with times that a test can wait for: a minute of a rule is a second here. Prometheus scrapes
//! each second instead of each minute, so that a rule sees as many samples as in production.

use std::fmt::Write;
use std::time::Duration;

use serde_json::Value;

/// By how much each time of a rule is shortened.
const FACTOR: u32 = 60;

/// Shortens the `for` of each rule, and the windows and resolutions in its expression.
pub(crate) fn shortened(mut rules: Value) -> Value {
    for rule in rules["groups"][0]["rules"].as_array_mut().expect("rules") {
        let holds = shorter(rule["for"].as_str().expect("a duration"));
        rule["for"] = holds.into();
        let expression = windows_shortened(rule["expr"].as_str().expect("an expression"));
        rule["expr"] = expression.into();
    }
    rules
}

/// `rate(a[10m]) + b[30m:1m]`: what is in brackets.
fn windows_shortened(expression: &str) -> String {
    let mut parts = expression.split('[');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (window, rest) = part.split_once(']').expect("a closing bracket");
        let times: Vec<String> = window.split(':').map(shorter).collect();
        write!(text, "[{}]{rest}", times.join(":")).expect("text");
    }
    text
}

/// A time such as `10m`, which may be left out.
fn shorter(time: &str) -> String {
    let Some(unit) = time.chars().last() else {
        return String::new();
    };
    let number: u64 = time.trim_end_matches(unit).parse().expect("a number and a unit");
    let time = match unit {
        's' => Duration::from_secs(number),
        'm' => Duration::from_mins(number),
        'h' => Duration::from_hours(number),
        other => panic!("{other}"),
    };
    format!("{}ms", (time / FACTOR).as_millis())
}

#[test]
fn times_are_shortened_and_nothing_else_is() {
    let (long, short) = (
        "avg_over_time((max(a{b=\"c1m\"}) > bool 0)[30m:1m]) + rate(d[90s]) + e[15m:] > 60",
        "avg_over_time((max(a{b=\"c1m\"}) > bool 0)[30000ms:1000ms]) + rate(d[1500ms]) + e[15000ms:] > 60",
    );
    assert_eq!(windows_shortened(long), short);
}
