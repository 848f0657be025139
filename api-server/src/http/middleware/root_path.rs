//! The prefix under which a proxy serves this API (`ROOT_PATH`, as `FastAPI`'s `root_path`).

use std::{str::FromStr, sync::Arc};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{LINK, LOCATION},
    uri::PathAndQuery,
};

/// Empty, or a path that starts with a slash and ends with none.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct RootPath(Arc<str>);

/// The text is not such a path.
#[derive(Debug, thiserror::Error)]
#[error("is no path like /api/arxiv, of letters, digits and any of -._~ between the slashes")]
pub(crate) struct NoRootPath;

impl FromStr for RootPath {
    type Err = NoRootPath;

    fn from_str(text: &str) -> Result<Self, NoRootPath> {
        let path = text.trim_end_matches('/');
        let segment = |segment: &str| {
            !segment.is_empty()
                && !segment.bytes().all(|b| b == b'.')
                && segment
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
        };
        if path.is_empty()
            || path
                .strip_prefix('/')
                .is_some_and(|rest| rest.split('/').all(segment))
        {
            Ok(Self(path.into()))
        } else {
            Err(NoRootPath)
        }
    }
}

impl RootPath {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The path by which clients reach one of ours.
    pub(crate) fn of(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// The URI without the prefix; `None` if it has none (the proxy removed it).
    fn stripped(&self, uri: &Uri) -> Option<Uri> {
        let rest = uri.path().strip_prefix(&*self.0)?;
        if !(rest.is_empty() || rest.starts_with('/')) {
            return None;
        }
        let path = if rest.is_empty() { "/" } else { rest };
        let target = match uri.query() {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        };
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::try_from(target).ok()?);
        Uri::from_parts(parts).ok()
    }

    /// Adds the prefix to our paths in response headers.
    fn add_to(&self, headers: &mut HeaderMap) {
        let rewrite = |headers: &mut HeaderMap, name: HeaderName, before: &str| {
            let value = headers.get(&name).and_then(|value| value.to_str().ok());
            let is_ours = |path: &&str| path.starts_with(&format!("{before}/"));
            if let Some(path) = value.filter(is_ours) {
                // One header may have several links, separated by commas.
                let full = path.replace(&format!("{before}/"), &format!("{before}{}/", self.0));
                let full = if before.is_empty() { self.of(path) } else { full };
                if let Ok(full) = HeaderValue::try_from(full) {
                    headers.insert(name, full);
                }
            }
        };
        rewrite(headers, LOCATION, "");
        rewrite(headers, LINK, "<");
    }
}

/// The middleware, for a server with a prefix: requests come with it or without it.
pub(crate) async fn strip(State(root): State<RootPath>, mut request: Request, next: Next) -> Response {
    if let Some(uri) = root.stripped(request.uri()) {
        *request.uri_mut() = uri;
    }
    let mut response = next.run(request).await;
    root.add_to(response.headers_mut());
    response
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
