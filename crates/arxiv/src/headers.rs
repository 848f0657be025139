//! Parsing the headers of an answer.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, RETRY_AFTER};

/// The longest pause that is read from an answer; the caller may cap it further.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);

/// The time of the answer, if it has one (RFC 9110, in the form of RFC 1123).
pub(crate) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    parse_date(text(headers, DATE)?)
}

/// The requested pause, in seconds or until a date (RFC 9110); a date in the past is no pause.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = text(headers, RETRY_AFTER)?;
    let pause = if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        // By the clock of the server, if it sends its date.
        let now = date(headers).unwrap_or_else(Timestamp::now);
        parse_date(value)?
            .duration_since(now)
            .try_into()
            .unwrap_or(Duration::ZERO)
    };
    Some(pause.min(MAX_RETRY_AFTER))
}

/// Whether the body is declared to be XML; none if nothing is declared.
pub(crate) fn is_xml(headers: &HeaderMap) -> Option<bool> {
    let value = headers.get(CONTENT_TYPE)?;
    let Ok(value) = value.to_str() else {
        return Some(false);
    };
    let kind = value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    Some(matches!(
        kind.as_str(),
        "application/atom+xml" | "application/xml" | "text/xml"
    ))
}

fn parse_date(value: &str) -> Option<Timestamp> {
    // A date with a wrong name of the day is still used.
    DateTimeParser::new()
        .relaxed_weekday(true)
        .parse_timestamp(value)
        .ok()
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    Some(headers.get(name)?.to_str().ok()?.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn date_is_read_from_the_header() {
        let cases = [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some("1994-11-06T08:49:37Z")),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some("1970-01-01T00:00:00Z")),
            ("Mon, 06 Nov 1994 08:49:37 GMT", Some("1994-11-06T08:49:37Z")),
            ("yesterday", None),
            ("", None),
            ("1994-11-06T08:49:37Z", None),
        ];
        for (value, at) in cases {
            let at = at.map(|at| at.parse::<Timestamp>().unwrap());
            assert_eq!(date(&headers(&[(DATE, value)])), at, "{value}");
        }
        assert_eq!(date(&headers(&[])), None);
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let now = "Sun, 06 Nov 1994 08:49:37 GMT";
        let cases = [
            ("120", Some(120)),
            ("0", Some(0)),
            (" 7 ", Some(7)),
            ("99999999999999999999999", Some(86_400)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("Sun, 06 Nov 2094 08:50:37 GMT", Some(86_400)),
            ("-5", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ];
        for (value, seconds) in cases {
            let pause = retry_after(&headers(&[(DATE, now), (RETRY_AFTER, value)]));
            assert_eq!(pause, seconds.map(Duration::from_secs), "{value}");
        }
        assert_eq!(retry_after(&headers(&[])), None);
    }

    #[test]
    fn content_type_says_whether_the_body_is_xml() {
        let cases = [
            ("application/atom+xml; charset=UTF-8", true),
            ("application/atom+xml;type=feed", true),
            ("Application/XML", true),
            ("text/xml", true),
            ("text/html; charset=utf-8", false),
            ("text/plain", false),
            ("application/json", false),
            ("", false),
        ];
        for (value, xml) in cases {
            assert_eq!(is_xml(&headers(&[(CONTENT_TYPE, value)])), Some(xml), "{value}");
        }
        assert_eq!(is_xml(&headers(&[])), None);
    }
}
