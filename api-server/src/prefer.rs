//! The `Prefer` header (RFC 7240).

use http::{HeaderMap, HeaderName};

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Whether the client asks for a 202 at once.
pub(crate) fn prefers_async(headers: &HeaderMap) -> bool {
    preferences(headers).any(|preference| {
        let token = preference.split([';', '=']).next().unwrap_or_default();
        token.trim().eq_ignore_ascii_case("respond-async")
    })
}

/// Whether the client asks for the number of rows (`count=exact`, as `PostgREST` has it).
pub(crate) fn prefers_count(headers: &HeaderMap) -> bool {
    preferences(headers).any(|preference| {
        let (token, value) = preference.split_once('=').unwrap_or((preference, ""));
        token.trim().eq_ignore_ascii_case("count") && value.trim().trim_matches('"') == "exact"
    })
}

fn preferences(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers
        .get_all(PREFER)
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(','))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn respond_async_is_found() {
        let cases = [
            ("respond-async", true),
            ("Respond-Async", true),
            ("return=minimal, respond-async", true),
            ("respond-async; x=1", true),
            ("wait=10", false),
            ("respond-asynchronously", false),
            ("handling=respond-async", false),
            ("", false),
        ];
        for (value, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.append(PREFER, HeaderValue::from_static(value));
            assert_eq!(prefers_async(&headers), expected, "{value}");
            headers.append(PREFER, HeaderValue::from_static("respond-async"));
            assert!(prefers_async(&headers), "{value} and another line");
        }
        assert!(!prefers_async(&HeaderMap::new()));
    }

    #[test]
    fn a_count_is_found() {
        for (value, expected) in [
            ("count=exact", true),
            ("respond-async, Count = exact", true),
            ("count=estimated", false),
            ("count", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(PREFER, HeaderValue::from_static(value));
            assert_eq!(prefers_count(&headers), expected, "{value}");
        }
    }
}
