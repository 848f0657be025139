//! The host names of this service. A page of another site whose name was pointed at this service's address (DNS rebinding)
//! has the same origin as this service for a browser: only the name in `Host` distinguishes them.

use std::{net::IpAddr, str::FromStr};

use http::{HeaderMap, HeaderName, Uri, header, uri::Authority};

use crate::{auth::origins::Origins, limits::client::SentTo};

/// Headers that browsers send, and that other clients have no reason to send.
const OF_BROWSERS: [HeaderName; 4] = [
    header::ORIGIN,
    header::REFERER,
    HeaderName::from_static("sec-fetch-site"),
    HeaderName::from_static("sec-fetch-mode"),
];
/// How the `User-Agent` of every browser begins.
const BROWSER: &str = "Mozilla/";

/// The allowed host names, in addition to loopback names and addresses; none by default.
#[derive(Clone, Debug, Default)]
pub(crate) struct AllowedHosts(Vec<HostPattern>);

#[derive(Clone, Debug)]
enum HostPattern {
    /// `*`
    Any,
    /// `*.example`: every name below this one, with the dot.
    Below(String),
    Name(String),
}

impl AllowedHosts {
    /// The name to which a browser sends this request, if it is not one of this service; empty for none.
    pub(super) fn foreign(&self, uri: &Uri, headers: &HeaderMap, sent_to: &SentTo) -> Option<String> {
        if !is_of_browser(headers) {
            return None;
        }
        let hosts = headers.get_all(header::HOST).into_iter();
        let hosts = hosts.map(|host| host.to_str().unwrap_or_default());
        let hosts = hosts.chain(uri.authority().map(Authority::as_str));
        let mut hosts = hosts.chain(sent_to.hosts.iter().map(String::as_str)).peekable();
        if hosts.peek().is_none() {
            return Some(String::new());
        }
        let known = |host: &str| host.parse().is_ok_and(|host| self.has(&host));
        hosts.find(|host| !known(host)).map(str::to_owned)
    }

    /// The same names and that of each of these origins.
    pub(super) fn with(mut self, origins: &Origins) -> Self {
        self.0.extend(origins.hosts().map(HostPattern::Name));
        self
    }

    fn has(&self, authority: &Authority) -> bool {
        if authority.as_str().contains('@') {
            return false;
        }
        let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
        let address = host.trim_start_matches('[').trim_end_matches(']');
        // No name can be pointed elsewhere where there is none.
        address.parse::<IpAddr>().is_ok()
            || host == "localhost"
            || host.ends_with(".localhost")
            || self.0.iter().any(|pattern| pattern.matches(&host))
    }
}

impl HostPattern {
    fn matches(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Below(end) => host.len() > end.len() && host.ends_with(end.as_str()),
            Self::Name(name) => host == name,
        }
    }
}

/// Whether a browser sends this. Over plain HTTP to a name, browsers send neither `Origin` nor Fetch Metadata with a GET.
fn is_of_browser(headers: &HeaderMap) -> bool {
    let agent = headers.get(header::USER_AGENT);
    OF_BROWSERS.iter().any(|name| headers.contains_key(name))
        || agent.is_some_and(|agent| agent.as_bytes().starts_with(BROWSER.as_bytes()))
}

impl FromStr for AllowedHosts {
    type Err = String;

    /// A list of names, separated by commas or spaces.
    fn from_str(text: &str) -> Result<Self, String> {
        let words = text.split([',', ' ']).filter(|word| !word.is_empty());
        words.map(pattern).collect::<Result<_, _>>().map(Self)
    }
}

fn pattern(word: &str) -> Result<HostPattern, String> {
    if word == "*" {
        return Ok(HostPattern::Any);
    }
    let lower = word.trim_end_matches('.').to_ascii_lowercase();
    let name = lower.strip_prefix("*.").unwrap_or(&lower);
    let is_name = !name.is_empty()
        && !name.starts_with('.')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if !is_name {
        return Err(format!(
            "{word:?} is no host name, like papers.example or *.papers.example: without a scheme, a port and a path"
        ));
    }
    Ok(if name.len() < lower.len() {
        HostPattern::Below(format!(".{name}"))
    } else {
        HostPattern::Name(lower)
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(given: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn is_foreign(hosts: &AllowedHosts, uri: &Uri, headers: &HeaderMap) -> bool {
        hosts.foreign(uri, headers, &SentTo::default()).is_some()
    }

    #[test]
    fn hosts_that_a_proxy_names_must_be_known_too() {
        let origins: Origins = "http://papers.example:8080 http://[::1]".parse().unwrap();
        let hosts: AllowedHosts = "inner".parse().unwrap();
        let hosts = hosts.with(&origins);
        for (host, forwarded, foreign) in [
            ("inner:8000", &["papers.example:8080"][..], None),
            ("inner", &["PAPERS.example", "inner"], None),
            ("inner", &["evil.example"], Some("evil.example")),
            (
                "inner",
                &["papers.example", "evil.example:80"],
                Some("evil.example:80"),
            ),
            ("evil.example", &["papers.example"], Some("evil.example")),
            ("inner", &["a b"], Some("a b")),
        ] {
            let sent_to = SentTo {
                hosts: forwarded.iter().map(|host| (*host).to_owned()).collect(),
                over_tls: false,
            };
            let given = headers(&[("host", host), ("origin", "http://papers.example")]);
            let found = hosts.foreign(&Uri::from_static("/x"), &given, &sent_to);
            assert_eq!(found.as_deref(), foreign, "{host} {forwarded:?}");
        }
    }

    #[test]
    fn host_is_foreign_when_a_browser_names_one_that_is_not_allowed() {
        let hosts: AllowedHosts = "papers.example, *.Apps.example svc.library.svc".parse().unwrap();
        let origin = ("origin", "http://evil.example");
        for (host, foreign) in [
            ("papers.example", false),
            ("PAPERS.example.:8000", false),
            ("a.b.apps.example", false),
            ("svc.library.svc:80", false),
            ("localhost:8000", false),
            ("papers.localhost", false),
            ("127.0.0.1:8000", false),
            ("[::1]:8000", false),
            ("192.0.2.7", false),
            ("evil.example", true),
            ("apps.example", true),
            ("evilapps.example", true),
            ("papers.example.evil.example", true),
            ("notlocalhost", true),
            ("localhost.evil.example", true),
            ("127.0.0.1.evil.example", true),
            ("papers.example@evil.example", true),
            ("evil.example@papers.example", true),
            ("", true),
            ("a b", true),
        ] {
            let given = headers(&[("host", host), origin]);
            let found = is_foreign(&hosts, &Uri::from_static("/x"), &given);
            assert_eq!(found, foreign, "{host}");
            let given = headers(&[("host", host), ("user-agent", "curl/8.0")]);
            assert!(!is_foreign(&hosts, &Uri::from_static("/x"), &given), "{host}");
        }
        let path = Uri::from_static("/x");
        assert!(is_foreign(&hosts, &path, &headers(&[origin])), "without a host");
        let two = headers(&[("host", "papers.example"), ("host", "evil.example"), origin]);
        assert!(is_foreign(&hosts, &path, &two));
        let own = headers(&[("host", "papers.example"), origin]);
        assert!(is_foreign(
            &hosts,
            &Uri::from_static("http://evil.example/x"),
            &own
        ));
        let any: AllowedHosts = "*".parse().unwrap();
        assert!(!is_foreign(
            &any,
            &path,
            &headers(&[("host", "evil.example"), origin])
        ));
    }

    #[test]
    fn each_sign_of_a_browser_counts() {
        let hosts = AllowedHosts::default();
        for sign in [
            ("origin", "null"),
            ("referer", "http://evil.example/page"),
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-mode", "cors"),
            (
                "user-agent",
                "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0",
            ),
        ] {
            let given = headers(&[("host", "evil.example"), sign]);
            assert!(is_foreign(&hosts, &Uri::from_static("/x"), &given), "{sign:?}");
        }
    }

    #[test]
    fn host_names_are_parsed_only_without_scheme_port_and_path() {
        for text in ["", "a.example", "*", "*.a.example b", "node_1"] {
            assert!(text.parse::<AllowedHosts>().is_ok(), "{text}");
        }
        for text in [
            "http://a.example",
            "a.example:80",
            "a/b",
            "*.",
            "a.*.example",
            "**",
        ] {
            assert!(text.parse::<AllowedHosts>().is_err(), "{text}");
        }
    }
}
