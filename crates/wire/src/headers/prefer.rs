//! The `Prefer` header (RFC 7240).

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// The preferences of a client that this API knows; others are ignored.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Preferences {
    /// A 202 at once, or after [`Self::wait`].
    pub respond_async: bool,
    /// How long the answer may take.
    pub wait: Option<Duration>,
    /// `handling=strict`: what is not known is an error.
    pub strict: bool,
    /// `count=exact`, as `PostgREST` has it: the number of rows.
    pub count: bool,
}

impl Preferences {
    /// Of a preference that is there twice the first counts; a value that cannot be read is as none.
    pub fn read(headers: &HeaderMap) -> Self {
        let values = headers
            .get_all(PREFER)
            .into_iter()
            .filter_map(|value| value.to_str().ok());
        let mut preferences = Self::default();
        let mut handling = None;
        for preference in values.flat_map(|value| value.split(',')) {
            // Parameters follow a semicolon; these preferences have none.
            let preference = preference.split(';').next().unwrap_or_default();
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "respond-async" => preferences.respond_async = true,
                "wait" if preferences.wait.is_none() => {
                    preferences.wait = value.parse().ok().map(Duration::from_secs);
                }
                "handling" if handling.is_none() => handling = Some(value.eq_ignore_ascii_case("strict")),
                "count" if value == "exact" => preferences.count = true,
                _ => {}
            }
        }
        preferences.strict = handling.unwrap_or_default();
        preferences
    }

    /// How long a request waits for the end of its query.
    pub fn wait_timeout(&self, usual: Duration) -> Duration {
        match self.wait {
            Some(wait) => wait.min(usual),
            None if self.respond_async => Duration::ZERO,
            None => usual,
        }
    }

    /// Adds `Preference-Applied` for the preferences about waiting.
    pub fn add_applied(&self, usual: Duration, response: &mut HeaderMap) {
        if self.respond_async {
            applied(response, "respond-async");
        }
        if self.wait.is_some() {
            applied(response, &format!("wait={}", self.wait_timeout(usual).as_secs()));
        }
    }
}

/// Adds `Preference-Applied` for a preference.
pub fn applied(response: &mut HeaderMap, preference: &str) {
    if let Ok(preference) = HeaderValue::from_str(preference) {
        response.append(PREFERENCE_APPLIED, preference);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_are_read() {
        let cases = [
            ("respond-async", true, None, false),
            ("Respond-Async", true, None, false),
            ("return=minimal, respond-async", true, None, false),
            ("respond-async; x=1, wait=10", true, Some(10), false),
            ("wait=10, wait=20", false, Some(10), false),
            ("wait = \"7\"", false, Some(7), false),
            ("wait=-1", false, None, false),
            ("wait=ten, handling=strict", false, None, true),
            ("handling=lenient, handling=strict", false, None, false),
            ("Handling=\"Strict\"", false, None, true),
            ("respond-asynchronously", false, None, false),
            ("handling=respond-async", false, None, false),
            ("", false, None, false),
        ];
        for (value, respond_async, wait, strict) in cases {
            let mut headers = HeaderMap::new();
            headers.append(PREFER, HeaderValue::from_static(value));
            let expected = Preferences {
                respond_async,
                wait: wait.map(Duration::from_secs),
                strict,
                count: false,
            };
            assert_eq!(Preferences::read(&headers), expected, "{value}");
            headers.append(PREFER, HeaderValue::from_static("respond-async"));
            assert!(
                Preferences::read(&headers).respond_async,
                "{value} and another line"
            );
        }
        assert_eq!(Preferences::read(&HeaderMap::new()), Preferences::default());
    }

    #[test]
    fn wait_timeout_is_never_longer_than_usual() {
        let usual = Duration::from_secs(30);
        for (respond_async, wait, expected) in [
            (false, None, 30),
            (true, None, 0),
            (true, Some(5), 5),
            (false, Some(5), 5),
            (false, Some(0), 0),
            (false, Some(u64::MAX), 30),
        ] {
            let preferences = Preferences {
                respond_async,
                wait: wait.map(Duration::from_secs),
                strict: false,
                count: false,
            };
            assert_eq!(
                preferences.wait_timeout(usual),
                Duration::from_secs(expected),
                "{preferences:?}"
            );
        }
    }

    #[test]
    fn exact_count_is_read() {
        for (value, expected) in [
            ("count=exact", true),
            ("respond-async, Count = exact", true),
            ("count=estimated", false),
            ("count", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(PREFER, HeaderValue::from_static(value));
            assert_eq!(Preferences::read(&headers).count, expected, "{value}");
        }
    }
}
