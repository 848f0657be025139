//! The prefix under which a proxy serves this API (`ROOT_PATH`, as `FastAPI`'s `root_path`).

use std::{str::FromStr, sync::Arc};

use http::{
    HeaderMap, HeaderValue, Uri,
    header::{LINK, LOCATION},
};

/// Empty, or a path that starts with a slash and ends with none.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RootPath(Arc<str>);

impl FromStr for RootPath {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let path = text.trim_end_matches('/');
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        let is_segment = |segment: &str| segment.bytes().all(is_plain) && segment.bytes().any(|b| b != b'.');
        let segments = path.strip_prefix('/').map(|rest| rest.split('/'));
        if path.is_empty() || segments.is_some_and(|mut segments| segments.all(is_segment)) {
            Ok(Self(path.into()))
        } else {
            Err("is no path like /api/arxiv, of letters, digits and any of -._~ between the slashes")
        }
    }
}

impl RootPath {
    /// The prefix.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path by which clients reach one of ours.
    pub fn of(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// The URI without the prefix; `None` if it has none (the proxy removed it).
    pub fn stripped(&self, uri: &Uri) -> Option<Uri> {
        match uri.path().strip_prefix(&*self.0)? {
            "" => with_path(uri, "/"),
            path if path.starts_with('/') => with_path(uri, path),
            _ => None,
        }
    }

    /// Adds the prefix to our paths in response headers.
    pub fn add_to(&self, headers: &mut HeaderMap) {
        let text = |name| headers.get(name)?.to_str().ok();
        let location = text(LOCATION).filter(|path| path.starts_with('/'));
        let location = location.map(|path| self.of(path));
        // One header may have several links, separated by commas.
        let links = text(LINK).filter(|links| links.starts_with("</"));
        let links = links.map(|links| links.replace("</", &format!("<{}/", self.0)));
        for (name, value) in [(LOCATION, location), (LINK, links)] {
            if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
                headers.insert(name, value);
            }
        }
    }
}

/// The URI with another path; `None` if that is none.
pub fn with_path(uri: &Uri, path: &str) -> Option<Uri> {
    let query = uri.query().map(|query| format!("?{query}"));
    let target = format!("{path}{}", query.unwrap_or_default());
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(target.parse().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_path_is_parsed_or_refused() {
        for (text, expected) in [("", ""), ("/", ""), ("/api/", "/api"), ("/a/b-c.d", "/a/b-c.d")] {
            assert_eq!(text.parse::<RootPath>().unwrap().as_str(), expected);
        }
        for text in [
            "api",
            "//a",
            "/a//b",
            "/a b",
            "/a?b",
            "/..",
            "/a/<b>",
            "https://a",
        ] {
            assert!(text.parse::<RootPath>().is_err(), "{text}");
        }
    }

    #[test]
    fn root_path_is_stripped_if_present() {
        let root: RootPath = "/api".parse().unwrap();
        for (uri, expected) in [
            ("/api/results?page=1", Some("/results?page=1")),
            ("/api", Some("/")),
            ("/api/", Some("/")),
            ("/results", None),
            ("/apiary", None),
        ] {
            let stripped = root.stripped(&uri.parse().unwrap()).map(|uri| uri.to_string());
            assert_eq!(stripped.as_deref(), expected, "{uri}");
        }
    }

    #[test]
    fn response_headers_get_the_root_path() {
        let root: RootPath = "/api".parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, HeaderValue::from_static("/arxiv/x?a=/b"));
        headers.insert(
            LINK,
            HeaderValue::from_static("</results?after=1>; rel=\"next\", </results>; rel=\"first\""),
        );
        root.add_to(&mut headers);
        assert_eq!(headers[LOCATION], "/api/arxiv/x?a=/b");
        assert_eq!(
            headers[LINK],
            "</api/results?after=1>; rel=\"next\", </api/results>; rel=\"first\""
        );
        headers.insert(LOCATION, HeaderValue::from_static("https://elsewhere.example/"));
        root.add_to(&mut headers);
        assert_eq!(headers[LOCATION], "https://elsewhere.example/");
    }
}
