//! The meaning of an answer's headers.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, HeaderName, LOCATION, RETRY_AFTER};
use url::Url;

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
    let value = headers.get(CONTENT_TYPE)?.to_str().unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default().trim();
    let mut known = ["application/atom+xml", "application/xml", "text/xml"].into_iter();
    Some(known.any(|known| kind.eq_ignore_ascii_case(known)))
}

/// A coding of a body (RFC 9110, 8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContentCoding {
    Gzip,
    Deflate,
    Zstd,
}

/// More than one is unusual already.
const MAX_CODINGS: usize = 2;

/// The codings of the body, in the order in which they were applied; none if one is not known, or if there are too many.
pub(crate) fn content_codings(headers: &HeaderMap) -> Option<Vec<ContentCoding>> {
    let mut codings = Vec::new();
    for line in headers.get_all(CONTENT_ENCODING) {
        for name in line.to_str().ok()?.split(',') {
            codings.push(match name.trim().to_ascii_lowercase().as_str() {
                "" | "identity" => continue,
                "gzip" | "x-gzip" => ContentCoding::Gzip,
                "deflate" => ContentCoding::Deflate,
                "zstd" => ContentCoding::Zstd,
                _ => return None,
            });
        }
    }
    (codings.len() <= MAX_CODINGS).then_some(codings)
}

/// Why a redirect is not followed. The text completes "arXiv's answer is a redirect …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    /// It has no target, or an unreadable one.
    #[error("that leads nowhere")]
    NoTarget,
    /// It leads to another host, to another port, to a user, or away from https.
    #[error("that leads elsewhere")]
    Elsewhere,
    /// It leads to itself, or there were too many.
    #[error("too many")]
    TooMany,
}

/// The target of a redirect from `from`: on the same host, or from http to https there.
pub(crate) fn redirect_target(from: &Url, headers: &HeaderMap) -> Result<Url, RedirectError> {
    let location = text(headers, LOCATION).filter(|location| !location.is_empty());
    let to = location.and_then(|location| from.join(location).ok());
    let mut to = to.ok_or(RedirectError::NoTarget)?;
    to.set_fragment(None);
    let same_origin =
        to.scheme() == from.scheme() && to.port_or_known_default() == from.port_or_known_default();
    let upgrade = from.scheme() == "http" && to.scheme() == "https";
    let same_user = to.username() == from.username() && to.password() == from.password();
    if to.host() != from.host() || !(same_origin || upgrade) || !same_user {
        return Err(RedirectError::Elsewhere);
    }
    if to == *from {
        return Err(RedirectError::TooMany);
    }
    Ok(to)
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

    #[test]
    fn redirect_to_another_host_is_refused() {
        let target = |from: &Url, location: Option<&str>| {
            let location: Vec<_> = location
                .into_iter()
                .map(|location| (LOCATION, location))
                .collect();
            redirect_target(from, &headers(&location))
        };
        let from: Url = "http://export.arxiv.org/api/query?search_query=x"
            .parse()
            .unwrap();
        let cases = [
            (
                Some("/api/v2?search_query=x"),
                Ok("http://export.arxiv.org/api/v2?search_query=x"),
            ),
            (
                Some("https://export.arxiv.org/api/query?q"),
                Ok("https://export.arxiv.org/api/query?q"),
            ),
            (
                Some("https://export.arxiv.org:8443/"),
                Ok("https://export.arxiv.org:8443/"),
            ),
            (Some("//EXPORT.arxiv.org:80/a#b"), Ok("http://export.arxiv.org/a")),
            (Some("http://arxiv.org/api/query"), Err(RedirectError::Elsewhere)),
            (
                Some("http://export.arxiv.org.evil.org/"),
                Err(RedirectError::Elsewhere),
            ),
            (
                Some("http://export.arxiv.org@evil.org/"),
                Err(RedirectError::Elsewhere),
            ),
            (
                Some("http://user:secret@export.arxiv.org/"),
                Err(RedirectError::Elsewhere),
            ),
            (
                Some("http://export.arxiv.org:6443/"),
                Err(RedirectError::Elsewhere),
            ),
            (Some("file:///etc/passwd"), Err(RedirectError::Elsewhere)),
            (Some("?search_query=x"), Err(RedirectError::TooMany)),
            (Some("http://[/"), Err(RedirectError::NoTarget)),
            (Some(""), Err(RedirectError::NoTarget)),
            (None, Err(RedirectError::NoTarget)),
        ];
        for (location, expected) in cases {
            let expected = expected.map(|url| url.parse::<Url>().unwrap());
            assert_eq!(target(&from, location), expected, "{location:?}");
        }
        let secure: Url = "https://export.arxiv.org/".parse().unwrap();
        assert_eq!(
            target(&secure, Some("http://export.arxiv.org/a")),
            Err(RedirectError::Elsewhere)
        );
    }
}
