//! Protection against cross-site request forgery: detects requests that a page of another site makes a browser send.

use http::{HeaderMap, HeaderName, Uri, header};

use crate::auth::cors::Origins;

/// The relation of the sending page to this site, set by the browser (Fetch Metadata); scripts cannot set it.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a page of another origin that is not allowed made a browser send this: by a script, an image, a form, or a
/// link. Addresses that a person types or opens from a bookmark are not cross-site, and clients other than browsers send
/// neither header.
///
/// Browsers send `Sec-Fetch-Site` over HTTPS and to loopback only. Without it, `Origin` decides, which they send with all
/// requests but plain GETs.
pub(crate) fn is_cross_site(headers: &HeaderMap, allowed: &Origins) -> bool {
    let origin = headers.get(header::ORIGIN);
    let cross_site = match headers.get(SEC_FETCH_SITE) {
        Some(site) => site != "same-origin" && site != "none",
        None => origin.is_some_and(|origin| {
            let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
            let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
            !matches!((authority, host), (Some((_, authority)), Some(host)) if same(authority, host))
        }),
    };
    cross_site && !origin.is_some_and(|origin| allowed.has(origin))
}

/// Host names are compared without regard to case.
fn same(authority: &str, host: &str) -> bool {
    authority.eq_ignore_ascii_case(host) && authority.parse::<Uri>().is_ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

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
        for (given, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("api.example:8000"));
            for (name, value) in *given {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            assert_eq!(is_cross_site(&headers, &allowed), *expected, "{given:?}");
        }
    }
}
