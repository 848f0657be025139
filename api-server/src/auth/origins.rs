//! Pages of other origins: which of them may call this service (CORS; none by default), and which requests the others made
//! a browser send (cross-site request forgery, CSRF).

use std::{str::FromStr, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use tower_http::cors::CorsLayer;

use crate::limits::client::SentTo;

/// How long a browser caches the result of a preflight request.
const MAX_AGE: Duration = Duration::from_mins(10);

/// The relation of the sending page to this site, set by the browser (Fetch Metadata); scripts cannot set it.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Request headers that scripts may send, besides those that are always allowed.
const REQUEST_HEADERS: [HeaderName; 9] = [
    header::ACCEPT,
    header::AUTHORIZATION,
    header::CONTENT_ENCODING,
    header::CONTENT_TYPE,
    header::IF_NONE_MATCH,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("last-event-id"),
    HeaderName::from_static("prefer"),
    HeaderName::from_static("x-request-id"),
];

/// Response headers that scripts may read, besides those that are always readable.
const RESPONSE_HEADERS: [HeaderName; 15] = [
    header::ALLOW,
    header::CONTENT_DISPOSITION,
    header::DATE,
    header::ETAG,
    header::LINK,
    header::LOCATION,
    header::RETRY_AFTER,
    header::WWW_AUTHENTICATE,
    HeaderName::from_static("arxiv-ignored-parameters"),
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

/// Where this service's own pages are, for browsers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own<'a> {
    /// What settings name.
    pub(super) origins: &'a Origins,
    /// What trusted proxies say.
    pub(super) sent_to: &'a SentTo,
    /// Whether the connection has TLS.
    pub(super) over_tls: bool,
}

impl Own<'_> {
    /// Whether a page of this origin is this service's: of the host that the browser has named, or of a known origin. A page
    /// over plain HTTP is of another origin than one over TLS.
    fn has(self, origin: &HeaderValue, headers: &HeaderMap) -> bool {
        if self.origins.0.contains(origin) {
            return true;
        }
        let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        let Some((scheme, authority)) = origin else {
            return false;
        };
        if (self.over_tls || self.sent_to.over_tls) && scheme != "https" {
            return false;
        }
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let mut hosts = host
            .into_iter()
            .chain(self.sent_to.hosts.iter().map(String::as_str));
        hosts.any(|host| is_same(authority, host))
    }
}

impl Origins {
    /// Whether a page of another origin that is not allowed made a browser send this: by a script, an image, a form, or a
    /// link. Addresses that a person types or opens from a bookmark are not cross-site, and clients other than browsers
    /// send neither header.
    ///
    /// Browsers send `Sec-Fetch-Site` over HTTPS and to loopback only. Without it, `Origin` decides, which they send with
    /// all requests but plain GETs.
    pub(super) fn is_cross_site(&self, headers: &HeaderMap, own: Own<'_>) -> bool {
        let origin = headers.get(header::ORIGIN);
        let cross_site = match headers.get(SEC_FETCH_SITE) {
            Some(site) => site != "same-origin" && site != "none",
            None => origin.is_some_and(|origin| !own.has(origin, headers)),
        };
        cross_site && !origin.is_some_and(|origin| self.0.contains(origin))
    }

    /// The host names of all, without ports.
    pub(super) fn hosts(&self) -> impl Iterator<Item = String> {
        let host = |origin: &HeaderValue| Some(origin.to_str().ok()?.parse::<Uri>().ok()?.host()?.to_owned());
        self.0.iter().filter_map(host)
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

/// Host names are compared without regard to case.
fn is_same(authority: &str, host: &str) -> bool {
    authority.eq_ignore_ascii_case(host) && authority.parse::<Uri>().is_ok()
}

impl FromStr for Origins {
    type Err = String;

    /// A list of origins, separated by commas or spaces.
    fn from_str(text: &str) -> Result<Self, String> {
        let words = text.split([',', ' ']).filter(|word| !word.is_empty());
        let origin = |word: &str| {
            exact(word).ok_or_else(|| {
                format!(
                    "{word:?} is not an origin as browsers write it, like https://papers.example or \
                     http://localhost:3000: lower case, without a path, and no *"
                )
            })
        };
        words.map(origin).collect::<Result<_, _>>().map(Self)
    }
}

fn exact(word: &str) -> Option<HeaderValue> {
    let uri: Uri = word.parse().ok()?;
    let scheme = uri
        .scheme_str()
        .filter(|scheme| ["http", "https"].contains(scheme))?;
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    let exact = format!("{scheme}://{}{port}", uri.host()?.to_ascii_lowercase());
    HeaderValue::try_from(exact).ok().filter(|exact| exact == word)
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

    #[test]
    fn request_is_cross_site_when_a_page_of_another_origin_sends_it() {
        let cases: &[(&[(&'static str, &'static str)], bool)] = &[
            (&[], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("sec-fetch-site", "same-origin")], false),
            (&[("sec-fetch-site", "cross-site")], true),
            (&[("sec-fetch-site", "same-site")], true),
            (
                &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")],
                true,
            ),
            (
                &[
                    ("sec-fetch-site", "cross-site"),
                    ("origin", "https://evil.example"),
                ],
                true,
            ),
            (
                &[
                    ("sec-fetch-site", "cross-site"),
                    ("origin", "https://app.example"),
                ],
                false,
            ),
            (&[("sec-fetch-site", "same-site"), ("origin", "null")], true),
            (&[("sec-fetch-site", "x")], true),
            (&[("origin", "https://evil.example")], true),
            (&[("origin", "https://app.example")], false),
            (&[("origin", "http://API.example:8000")], false),
            (&[("origin", "http://api.example")], true),
            (&[("origin", "null")], true),
        ];
        let allowed: Origins = "https://app.example".parse().unwrap();
        let (none, nowhere) = (Origins::default(), SentTo::default());
        let own = |over_tls| Own {
            origins: &none,
            sent_to: &nowhere,
            over_tls,
        };
        for (given, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("api.example:8000"));
            for (name, value) in *given {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            assert_eq!(
                allowed.is_cross_site(&headers, own(false)),
                *expected,
                "{given:?}"
            );
        }
        // Over TLS, a page of the same host over plain HTTP is another origin.
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("api.example"));
        for (origin, expected) in [("http://api.example", true), ("https://api.example", false)] {
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            assert_eq!(allowed.is_cross_site(&headers, own(true)), expected, "{origin}");
            assert!(!allowed.is_cross_site(&headers, own(false)), "{origin}");
        }
    }

    #[test]
    fn page_behind_a_proxy_that_changes_the_host_is_own_where_a_setting_or_the_proxy_says_so() {
        let cases: &[(&str, &str, &[&str], bool, bool)] = &[
            ("http://papers.example", "", &[], false, true),
            (
                "http://papers.example",
                "http://papers.example",
                &[],
                false,
                false,
            ),
            ("http://papers.example", "", &["papers.example"], false, false),
            (
                "http://papers.example",
                "",
                &["Papers.Example", "gateway"],
                false,
                false,
            ),
            (
                "http://papers.example:8080",
                "http://papers.example",
                &["papers.example"],
                false,
                true,
            ),
            (
                "http://papers.example:8080",
                "http://papers.example:8080",
                &[],
                false,
                false,
            ),
            (
                "https://papers.example",
                "http://papers.example",
                &[],
                false,
                true,
            ),
            ("http://papers.example", "", &["papers.example"], true, true),
            ("https://papers.example", "", &["papers.example"], true, false),
            (
                "http://evil.example",
                "http://papers.example",
                &["papers.example"],
                false,
                true,
            ),
            ("null", "http://papers.example", &["papers.example"], false, true),
        ];
        for (origin, own, forwarded, over_tls, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("inner:8000"));
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            let own = Own {
                origins: &own.parse().unwrap(),
                sent_to: &SentTo {
                    hosts: forwarded.iter().map(|host| (*host).to_owned()).collect(),
                    over_tls: *over_tls,
                },
                over_tls: false,
            };
            let found = Origins::default().is_cross_site(&headers, own);
            assert_eq!(found, *expected, "{origin} {own:?}");
        }
        let hosts: Origins = "http://papers.example:8080 https://a.example".parse().unwrap();
        assert_eq!(hosts.hosts().collect::<Vec<_>>(), ["papers.example", "a.example"]);
    }
}
