//! CORS: the origins whose pages may call this service; none by default.

use std::{str::FromStr, time::Duration};

use http::{HeaderName, HeaderValue, Method, Uri, header};
use tower_http::cors::CorsLayer;

/// How long a browser caches the result of a preflight request.
const MAX_AGE: Duration = Duration::from_mins(10);

/// Request headers that scripts may send, besides those that are always allowed.
const REQUEST_HEADERS: [HeaderName; 8] = [
    header::ACCEPT,
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::IF_NONE_MATCH,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("last-event-id"),
    HeaderName::from_static("prefer"),
    HeaderName::from_static("x-request-id"),
];

/// Response headers that scripts may read, besides those that are always readable.
const RESPONSE_HEADERS: [HeaderName; 14] = [
    header::ALLOW,
    header::CONTENT_DISPOSITION,
    header::DATE,
    header::ETAG,
    header::LINK,
    header::LOCATION,
    header::RETRY_AFTER,
    header::WWW_AUTHENTICATE,
    HeaderName::from_static("arxiv-replica-lag"),
    HeaderName::from_static("preference-applied"),
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-total-count"),
];

/// Exact origins, as browsers write them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins(Vec<HeaderValue>);

impl Origins {
    pub(super) fn has(&self, origin: &HeaderValue) -> bool {
        self.0.contains(origin)
    }

    /// The layer that responds to preflight requests and lets scripts of these origins read responses. Credentials are not
    /// allowed: there are no cookies, and a token is sent in a header that the page itself must know.
    pub(crate) fn layer(&self) -> Option<CorsLayer> {
        (!self.0.is_empty()).then(|| {
            CorsLayer::new()
                .allow_origin(self.0.clone())
                .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::DELETE])
                .allow_headers(REQUEST_HEADERS)
                .expose_headers(RESPONSE_HEADERS)
                .max_age(MAX_AGE)
        })
    }
}

impl FromStr for Origins {
    type Err = String;

    /// A list of origins, separated by commas or spaces.
    fn from_str(text: &str) -> Result<Self, String> {
        let words = text.split([',', ' ']).filter(|word| !word.is_empty());
        let origin = |word: &str| {
            let uri = word.parse::<Uri>().ok();
            let exact = uri.as_ref().and_then(|uri| {
                let scheme = uri
                    .scheme_str()
                    .filter(|scheme| matches!(*scheme, "http" | "https"))?;
                let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
                Some(format!("{scheme}://{}{port}", uri.host()?.to_ascii_lowercase()))
            });
            exact
                .filter(|exact| exact == word)
                .and_then(|exact| HeaderValue::try_from(exact).ok())
                .ok_or_else(|| {
                    format!(
                        "{word:?} is not an origin as browsers write it, like https://papers.example or \
                         http://localhost:3000: lower case, without a path, and no *"
                    )
                })
        };
        words.map(origin).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_parsed_only_if_exact() {
        for (text, count) in [
            ("", 0),
            ("https://a.example", 1),
            ("https://a.example, http://localhost:3000 http://[::1]:80", 3),
        ] {
            let origins: Origins = text.parse().unwrap();
            assert_eq!(origins.0.len(), count, "{text}");
            assert_eq!(origins.layer().is_some(), count > 0);
        }
        for text in [
            "*",
            "null",
            "a.example",
            "https://a.example/",
            "https://A.example",
            "ftp://a",
            "https://u@a",
        ] {
            assert!(text.parse::<Origins>().is_err(), "{text}");
        }
    }
}
